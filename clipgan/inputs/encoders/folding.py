"""Folding the BatchNorms of a frozen network into its convolutions."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module) -> None:
    """Replace each convolution and the BatchNorm behind it by one convolution, in place; features change by rounding.

    Args:
        network: in evaluation mode. A BatchNorm is the next child of its module after the convolution that it reads,
            as in torchvision's ResNets.
    """
    for module in list(network.modules()):
        before: tuple[str, nn.Module] = ("", module)
        for name, child in list(module.named_children()):
            conv_name, conv = before
            if type(conv) is nn.Conv2d and type(child) is nn.BatchNorm2d:
                dtype = conv.weight.dtype
                folded = fuse_conv_bn_eval(conv.double(), child.double())  # each weight is rounded once
                setattr(module, conv_name, folded.to(dtype))
                setattr(module, name, nn.Identity().eval())
            before = (name, child)
