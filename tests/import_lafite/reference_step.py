"""LAFITE's training step a second time, as plainly as possible, in plain PyTorch: what the real step is compared with.

It shares no code with the package but the frozen encoder. It is written from the papers (arXiv:2111.13792, StyleGAN2's
arXiv:1912.04958, StyleGAN2-ADA's arXiv:2006.06676) and from what is known of the public code: exp(cos / tau) inside a
softmax over the images, noisy text as the target, one crop for the batch, one number of the text in all logits. A
step's random numbers are given: `draw(name, rows, *shape)`, `integer(name)`.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

TEMPERATURE = 0.5
DECAY_OF_W, DECAY_OF_PATH_LENGTH = 0.995, 0.01


class Adam:
    """With beta_1 = 0; a lazy regulariser's extra steps shrink rate and beta_2 (StyleGAN2, appendix B).

    The public code adds 0 times the logits, or 0 times the images, to a regulariser. So a parameter on which it does
    not depend has the gradient 0, and takes the step.
    """

    def __init__(self, parameters, lr, interval):
        ratio = interval / (interval + 1)
        self.parameters, self.lr, self.beta = list(parameters), lr * ratio, 0.99**ratio
        self.squares, self.counts = [torch.zeros_like(p) for p in self.parameters], [0] * len(self.parameters)

    @torch.no_grad()
    def step(self, loss):
        self.gradients = torch.autograd.grad(loss, self.parameters, allow_unused=True, materialize_grads=True)
        for place, gradient in enumerate(self.gradients):
            parameter, square = self.parameters[place], self.squares[place]
            self.counts[place] += 1
            square.mul_(self.beta).add_((1 - self.beta) * gradient**2)
            parameter.sub_(self.lr * gradient / ((square / (1 - self.beta ** self.counts[place])).sqrt() + 1e-8))


def contrast(images, texts):
    """Each text finds its image among the batch's."""
    similarity = torch.exp(images @ texts.T / TEMPERATURE)
    return -torch.stack([F.log_softmax(similarity[:, j], dim=0)[j] for j in range(len(texts))]).mean()


def noisy(features, noise, level):
    mixed = (1 - level) * features + level * F.normalize(noise, dim=1)
    return F.normalize(mixed, dim=1)


@dataclass
class Settings:
    itd: float
    itc: float
    gamma: float
    pl_weight: float
    r1_interval: int
    pl_interval: int
    lr: float
    ema_kimg: float
    group: int


class Reference:
    """G, its average and D of LAFITE, and the state of their training."""

    def __init__(self, networks, encode, size, settings):
        """`encode`: float [N, 3, size, size] in [-1, 1] to features of unit length."""
        self.g, self.average, self.d = networks["G"], networks["G_ema"], networks["D"]
        for network in (self.g, self.d):
            network.requires_grad_(True)
        self.encode, self.size, self.settings = encode, size, settings
        self.adam_g = Adam(self.g.parameters(), settings.lr, settings.pl_interval)
        self.adam_d = Adam(self.d.parameters(), settings.lr, settings.r1_interval)
        self.path_length, self.values = torch.zeros(()), {}

    def step(self, number, images, text, noise_of_text, random):
        c = noisy(text, noise_of_text, 0.1)
        self._train_d(images, c, random)
        self._train_g(c, random)
        if number % self.settings.r1_interval == 0:
            self._regularise_d(images, c)
        if number % self.settings.pl_interval == 0:
            self._regularise_g(c, random)
        count = len(images)
        half_life = min(self.settings.ema_kimg * 1000, (number + 1) * count * 0.05)
        decay = 0.5 ** (count / half_life)
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.g.parameters(), strict=True):
                mean.copy_(now + decay * (mean - now))
            for mean, now in zip(self.average.buffers(), self.g.buffers(), strict=True):
                mean.copy_(now)

    def _train_d(self, images, c, random):
        with torch.no_grad():
            ws = self._styles("D", c, random)
            self.g.mapping.w_avg.copy_(torch.lerp(ws[:, 0].mean(dim=0), self.g.mapping.w_avg, DECAY_OF_W))
            fake = self._generate(ws, c, "D", random)
        fake_logits, _ = self._judge(fake, c)
        logits, features = self._judge(images, c)
        adversarial = F.softplus(fake_logits).mean() + F.softplus(-logits).mean()
        guidance = contrast(F.normalize(features, dim=1), c)
        self.adam_d.step(adversarial + self.settings.itd * guidance)
        self.values |= {"loss/D_adversarial": adversarial, "D/D/it_het": guidance}

    def _train_g(self, c, random):
        fake = self._generate(self._styles("G", c, random), c, "G", random)
        logits, features = self._judge(fake, c)
        adversarial = F.softplus(-logits).mean()
        in_d = contrast(F.normalize(features, dim=1), c)
        in_clip = contrast(self.encode(self._seen(fake, random)), c)
        loss = adversarial + self.settings.itd * in_d + self.settings.itc * in_clip
        self.adam_g.step(loss)
        self.values |= {"loss/G_adversarial": adversarial, "G/D/it_het": in_d, "G/CLIP/it_het": in_clip}

    def _regularise_d(self, images, c):
        images = images.clone().requires_grad_()
        logits, _ = self._judge(images, c)
        [gradient] = torch.autograd.grad(logits.sum(), images, create_graph=True)
        penalty = gradient.square().sum(dim=(1, 2, 3)).mean()
        self.adam_d.step(self.settings.gamma / 2 * penalty * self.settings.r1_interval)
        self.values["loss/r1"] = penalty

    def _regularise_g(self, c, random):
        group = self.settings.group
        kept = [row for row in range(len(c)) if row % group < group // 2]  # any half would do: which one is a draw
        half = random.halved()
        ws = self._styles("path length", c[kept], half)
        images = self._generate(ws, c[kept], "path length", half)
        direction = half.draw("path length direction", *images.shape) / (images.shape[2] * images.shape[3]) ** 0.5
        [jacobian] = torch.autograd.grad((images * direction).sum(), ws, create_graph=True)
        lengths = jacobian.square().sum(dim=2).mean(dim=1).sqrt()
        self.path_length = torch.lerp(self.path_length, lengths.mean().detach(), DECAY_OF_PATH_LENGTH)
        penalty = (lengths - self.path_length).square().mean()
        self.adam_g.step(penalty * self.settings.pl_weight * self.settings.pl_interval)
        self.values["loss/path_length"] = penalty

    def _judge(self, images, c):
        """Run D, whose groups for the deviation are rows N / G apart; in the real step they are G rows in turn."""
        order = torch.arange(len(c)).reshape(-1, self.settings.group).T.flatten()
        logits, features = self.d(images[order], c[order])
        return logits[order.argsort()], features[order.argsort()]

    def _styles(self, use, c, random):
        layers = 2 * len(self.g.synthesis.sizes)
        first, second = (self._w(random.draw(f"{use} {which} latent", len(c), self.g.z_dim)) for which in
                         ("first", "second"))  # fmt: skip
        crossover = random.integer(f"{use} style mixing")
        return torch.stack([first if layer < crossover else second for layer in range(layers)], dim=1)

    def _w(self, z):
        return self.g.mapping(z, 1.0)

    def _generate(self, ws, c, use, random):
        sizes = [4, *(size for size in self.g.synthesis.sizes[1:] for _ in range(2))]
        maps = random.draw(f"{use} noise", len(c), sum(size**2 for size in sizes)).split([s**2 for s in sizes], dim=1)
        noises = [noise.reshape(-1, 1, size, size) for noise, size in zip(maps, sizes, strict=True)]
        return self.g.synthesis(ws, c, iter(noises))

    def _seen(self, images, random):
        """What the encoder sees: the images on white, or one crop of all of them."""
        resolution, drawn = images.shape[2], random.integer("CLIP view")
        if resolution < self.size:
            top, left, rest = drawn // self.size, drawn % self.size, self.size - resolution
            return F.pad(images, (left, rest - left, top, rest - top), value=1.0)
        side, top, left = drawn // resolution**2, drawn // resolution % resolution, drawn % resolution
        cut = images[:, :, top : top + side, left : left + side]
        return F.interpolate(cut, (self.size, self.size), mode="bicubic", align_corners=False)
