"""The GAN's training step a second time, as plainly as possible: what the real step is compared with.

It shares no code with the package but the frozen encoders; batches and random numbers are given. It is written from
docs/losses.md, docs/models.md and the papers (StyleGAN2's arXiv:1912.04958, MSG-GAN's arXiv:1903.06048). It knows the
own networks and every structure of the losses, without selections of pairs and augmentations, which have tests with
loops of their own.
"""

import math
from itertools import count

import torch
import torch.nn.functional as F

DECAY_OF_W, DECAY_OF_PATH_LENGTH = 0.998, 0.01


def rows_of_mean_square_one(x):
    return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def activation(x):
    return F.leaky_relu(x, 0.2) * 2**0.5


class Layers:
    """A network's parameters by name, and its layers with equalised learning rate."""

    def __init__(self, parameters):
        self.parameters = parameters

    def __getitem__(self, name):
        return self.parameters[name]

    def all(self, name):
        """`name.0`, `name.1`, ... as far as they go."""
        for number in count():
            if not any(key.startswith(f"{name}.{number}.") for key in self.parameters):
                return
            yield f"{name}.{number}"

    def scaled(self, name):
        weight = self[f"{name}.weight"]
        return weight / weight[0].numel() ** 0.5

    def linear(self, name, x, lr=1.0):
        return x @ self.scaled(name).T * lr + self[f"{name}.bias"] * lr

    def conv(self, name, x):
        weight = self.scaled(name)
        return F.conv2d(x, weight, self.parameters.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    def modulated(self, name, x, style, demodulated):
        """Equations 1 to 3 of arXiv:1912.04958, a weight for each sample."""
        weights = self.scaled(name) * self.linear(f"{name}.affine", style)[:, None, :, None, None]
        if demodulated:
            weights = weights / (weights.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
        maps = zip(x, weights, strict=True)
        return torch.stack([F.conv2d(one, own, padding=own.shape[-1] // 2) for one, own in maps])


def w_of(g, z):
    w = rows_of_mean_square_one(z)
    for name in g.all("mapping.layers"):
        w = activation(g.linear(name, w, lr=0.01))
    return w


def doubled(x):
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def generate(g, ws, condition, noise):
    """The partial sums at all scales, from the largest to the smallest."""
    text = rows_of_mean_square_one(condition)
    for name in g.all("text_code.layers"):
        text = activation(g.linear(name, text))
    styles, maps = (iter(each) for each in ([torch.cat([w, text], dim=1) for w in ws.unbind(dim=1)], noise))

    def styled(name, x, style, up=False):
        y = g.modulated(f"{name}.conv", x, style, demodulated=True)
        y = doubled(y) if up else y
        return activation(y + g[f"{name}.noise_strength"] * next(maps) + g[f"{name}.bias"][:, None, None])

    def colours(name, x, style):
        return g.modulated(f"{name}.conv", x, style, demodulated=False) + g[f"{name}.bias"][:, None, None]

    x, style = g["synthesis.constant"].repeat(len(ws), 1, 1, 1), next(styles)
    if "synthesis.seed.weight" in g.parameters:
        x = x + g.linear("synthesis.seed", style).view_as(x)
    x, style = styled("synthesis.first", x, style), next(styles)
    scales = [colours("synthesis.first_rgb", x, style)]
    for up, conv, rgb in zip(*(g.all(f"synthesis.{name}") for name in ("ups", "convs", "rgbs")), strict=True):
        x = styled(up, x, style, up=True)
        x, style = styled(conv, x, next(styles)), next(styles)
        scales.append(doubled(scales[-1]) + colours(rgb, x, style))  # RGB shares the next resolution's first style
    return scales[::-1]


def judge(d, scales, condition, group, mismatched=None):
    """The logits, f_D, and the logits with other conditions."""
    x, *smaller = scales
    x = activation(d.conv("from_rgb", x))
    for number, block in enumerate(d.all("blocks")):
        y = activation(d.conv(f"{block}.down", F.avg_pool2d(activation(d.conv(f"{block}.conv", x)), 2)))
        x = (y + d.conv(f"{block}.skip", F.avg_pool2d(x, 2))) * 0.5**0.5
        if smaller:
            x = d.conv(f"combine.{number}", torch.cat([x, smaller[number]], dim=1))
    deviations = [
        (images.var(dim=0, unbiased=False) + 1e-8).sqrt().mean().expand(len(images), 1, 4, 4)
        for images in x.split(group)
    ]
    h = activation(d.conv("conv", torch.cat([x, torch.cat(deviations)], dim=1)))
    h = activation(d.linear("features", h.flatten(1)))

    def logits(text):
        projected = d.linear("image_projection", h), d.linear("text_projection", rows_of_mean_square_one(text))
        return d.linear("logit", h).squeeze(1) + torch.linalg.vecdot(*projected) / projected[0].shape[1] ** 0.5

    return logits(condition), d.linear("semantic", h), None if mismatched is None else logits(mismatched)


def info_nce(anchors, candidates, tau):
    losses = []
    for own, anchor in enumerate(anchors):
        similarity = torch.stack([anchor @ candidate for candidate in candidates]) / tau
        losses.append(similarity.exp().sum().log() - similarity[own])
    return torch.stack(losses).mean()


def loss_of_d(name, fake, real):
    return {
        "nonsaturating": lambda: F.softplus(fake).mean() + F.softplus(-real).mean(),
        "hinge": lambda: (1 + fake).clamp(min=0).mean() + (1 - real).clamp(min=0).mean(),
        "relativistic": lambda: F.softplus(fake - real).mean(),
    }[name]()


def loss_of_g(name, fake, real):
    return {
        "nonsaturating": lambda: F.softplus(-fake).mean(),
        "hinge": lambda: -fake.mean(),
        "relativistic": lambda: F.softplus(real - fake).mean(),
    }[name]()


class Adam:
    """With beta_1 = 0; a lazy regulariser's extra steps shrink rate and beta_2, and every parameter takes them."""

    def __init__(self, parameters, lr, interval):
        ratio = interval / (interval + 1) if interval else 1
        self.parameters, self.lr, self.beta = parameters, lr * ratio, 0.99**ratio
        self.squares, self.counts = {name: 0.0 for name in parameters}, dict.fromkeys(parameters, 0)

    def step(self, loss, extra=False):
        gradients = torch.autograd.grad(loss, list(self.parameters.values()), allow_unused=True)
        with torch.no_grad():
            for (name, parameter), found in zip(self.parameters.items(), gradients, strict=True):
                if found is None and not extra:
                    continue
                gradient = torch.zeros_like(parameter) if found is None else found
                self.counts[name] += 1
                self.squares[name] = self.beta * self.squares[name] + (1 - self.beta) * gradient**2
                square = self.squares[name] / (1 - self.beta ** self.counts[name])
                parameter.sub_(self.lr * gradient / (square.sqrt() + 1e-8))


class Reference:
    """A training from the same weights, which does the same steps."""

    def __init__(self, training):
        self.config, self.spaces = training.config, training.objective.spaces
        state, model = training.state, training.config.model
        self.layers, self.sizes = state.generator.n_styles, state.generator.noise_sizes

        def copied(module):
            return {name: tensor.detach().clone().requires_grad_() for name, tensor in module.named_parameters()}

        self.g, self.d, self.temperatures = (
            copied(module) for module in (state.generator, state.discriminator, state.temperatures)
        )
        self.average = {name: value.detach() for name, value in copied(state.generator_ema).items()}
        self.w_average, self.path_length = None, torch.zeros(())
        penalised = model.r1_gamma or training.config.adversarial.r2_gamma
        self.adam_g = Adam(self.g | self._learned("G"), model.g_lr, model.pl_weight and model.pl_interval)
        self.adam_d = Adam(self.d | self._learned("D"), model.d_lr, penalised and model.r1_interval)

    def step(self, number, batch, random):
        """Do a step, and give its values by their names in the logs.

        Args:
            number: from 0.
            batch: the step's batch.
            random: `StepRandom` of the step.
        """
        model, values = self.config.model, {}
        self.random, self.g_layers, self.d_layers = random, Layers(self.g), Layers(self.d)
        contrasted = number % self.config.contrast.every == 0
        f_of_real = self._train_d(batch, contrasted, values)
        self._train_g(batch, contrasted, f_of_real, values)
        gammas = {"r1": model.r1_gamma, "r2": self.config.adversarial.r2_gamma}
        if number % model.r1_interval == 0 and any(gammas.values()):
            self._penalise_d(batch, {name: gamma for name, gamma in gammas.items() if gamma}, values)
        if number % model.pl_interval == 0 and model.pl_weight:
            self._regularise_g(batch, values)
        shown = (number + 1) * self.config.batch
        decay = 0.5 ** (self.config.batch / min(model.ema_kimg * 1000, shown * model.ema_rampup))
        for name, value in self.average.items():
            self.average[name] = decay * value + (1 - decay) * self.g[name].detach()
        return values

    def _train_d(self, batch, contrasted, values):
        adversarial = self.config.adversarial
        with torch.no_grad():
            ws = self._styles("D", batch.rows)
            mean = ws[:, 0].mean(dim=0)
            before = mean if self.w_average is None else self.w_average
            self.w_average = DECAY_OF_W * before + (1 - DECAY_OF_W) * mean
            fake = self._generate(ws, batch.condition, self._noise("D", batch.rows))
        others = batch.condition.roll(1, dims=0) if adversarial.mismatch else None
        fake_logits, _, _ = self._judge(fake, batch.condition)
        logits, features, mismatched = self._judge(self._real(batch), batch.condition, others)
        loss = loss_of_d(adversarial.name, fake_logits, logits)
        if adversarial.mismatch:
            loss = loss + adversarial.mismatch * loss_of_d(adversarial.name, mismatched, logits)
            loss = loss / (1 + adversarial.mismatch)
        f_of_real = F.normalize(features, dim=1)
        values["loss/D_adversarial"] = loss.detach()
        if contrasted:
            targets = {"D/it": batch.text, "D/ii": batch.clip_image}
            loss = loss + self._contrast("discriminator", {"D": f_of_real}, targets, values)
        self.adam_d.step(loss)
        return f_of_real.detach()

    def _train_g(self, batch, contrasted, f_of_real, values):
        fake = self._generate(self._styles("G", batch.rows), batch.condition, self._noise("G", batch.rows))
        fake_logits, features, _ = self._judge(fake, batch.condition)
        logits, _, _ = self._judge(self._real(batch), batch.condition)
        loss = loss_of_g(self.config.adversarial.name, fake_logits, logits.detach())
        values["loss/G_adversarial"] = loss.detach()
        if contrasted:
            images = {space: self.spaces.embed(space, fake[0]) for space in ("CLIP", "ResNet")}
            images["D"] = F.normalize(features, dim=1)
            text = F.normalize(batch.text @ self.spaces.text_to_resnet, dim=1)
            targets = {
                "D/it": batch.text, "D/ii": f_of_real, "CLIP/it": batch.text, "CLIP/ii": batch.clip_image,
                "ResNet/it": text, "ResNet/ii": batch.resnet_image,
            }  # fmt: skip
            loss = loss + self._contrast("generator", images, targets, values)
        self.adam_g.step(loss)

    def _contrast(self, network, images, targets, values):
        """The sum over (s, pair) of S_s C_pair ( L(a -> b) + h L(b -> a) ), in every k-th step k times."""
        config, total = self.config, 0.0
        for space, pairs in getattr(config.loss, network).items():
            for pair in ("it", "ii"):
                if getattr(pairs, pair) is None:
                    continue
                weight = getattr(config.S, space) * {"it": config.C_it, "ii": config.C_ii}[pair]
                forth, back = weight, weight * config.h
                if config.heterologous == "source":
                    forth = back = weight * (config.h if network == "generator" else 1) / 2
                name = f"{network[0].upper()}/{space}"
                tau = getattr(config.loss.temperature, space)
                if self.temperatures:
                    tau = (-self.temperatures[f"log_scale.{name}"]).exp()
                a, b = images[space], targets[f"{space}/{pair}"]
                directions = info_nce(a, b, tau), info_nce(b, a, tau)
                for suffix, value in zip(("", "_het"), directions, strict=True):
                    values[f"{name}/{pair}{suffix}"] = value.detach()
                total = total + forth * directions[0] + back * directions[1]
        return config.contrast.every * total

    def _penalise_d(self, batch, gammas, values):
        loss = 0.0
        for name, gamma in gammas.items():
            scales = self._real(batch)
            if name == "r2":
                with torch.no_grad():
                    ws = self._styles("R2", batch.rows)
                    scales = self._generate(ws, batch.condition, self._noise("R2", batch.rows))
            scales = [scale.clone().requires_grad_() for scale in scales]
            logits, _, _ = self._judge(scales, batch.condition)
            gradients = torch.autograd.grad(logits.sum(), scales, create_graph=True)
            penalties = [gradient.square().sum(dim=(1, 2, 3)).mean() for gradient in gradients]
            penalty = torch.stack(penalties).mean()
            values[f"loss/{name}"] = penalty.detach()
            loss = loss + gamma / 2 * penalty * self.config.model.r1_interval
        self.adam_d.step(loss, extra=True)

    def _regularise_g(self, batch, values):
        model = self.config.model
        kept = [row for row in batch.rows if row % model.mbstd_group < model.mbstd_group // 2]
        condition, rows, whole = batch.condition[kept], range(len(kept)), self.random
        self.random = whole.halves()
        ws = self._styles("path length", rows)
        images = self._generate(ws, condition, self._noise("path length", rows))[0]
        direction = self.random.rows("path length direction", rows)(images.shape) / images.shape[-1]
        self.random = whole
        [jacobian] = torch.autograd.grad((images * direction).sum(), ws, create_graph=True)
        lengths = jacobian.square().sum(dim=2).mean(dim=1).sqrt()
        self.path_length = torch.lerp(self.path_length, lengths.mean().detach(), DECAY_OF_PATH_LENGTH)
        penalty = (lengths - self.path_length).square().mean()
        values["loss/path_length"] = penalty.detach()
        self.adam_g.step(penalty * model.pl_weight * model.pl_interval, extra=True)

    def _learned(self, network):
        return {name: value for name, value in self.temperatures.items() if name.startswith(f"log_scale.{network}/")}

    def _styles(self, use, rows):
        shape, crossover = (len(rows), self.config.model.z_dim), self._crossover(use)
        one, other = (w_of(self.g_layers, self.random.rows(f"{use} {which} latent", rows)(shape)) for which in
                      ("first", "second"))  # fmt: skip
        return torch.stack([one if layer < crossover else other for layer in range(self.layers)], dim=1)

    def _crossover(self, use):
        def choose(uniform):
            chance, place = torch.rand(2, generator=uniform).tolist()
            mixed = chance < self.config.model.style_mixing
            return math.floor(1 + place * (self.layers - 1)) if mixed else self.layers

        return self.random.integer(f"{use} style mixing", choose)

    def _noise(self, use, rows):
        drawn = self.random.rows(f"{use} noise", rows)((len(rows), sum(size**2 for size in self.sizes)))
        maps = drawn.split([size**2 for size in self.sizes], dim=1)
        return [noise.view(-1, 1, size, size) for noise, size in zip(maps, self.sizes, strict=True)]

    def _generate(self, ws, condition, noise):
        scales = generate(self.g_layers, ws, condition, noise)
        return scales if self.config.model.multi_scale else scales[:1]

    def _real(self, batch):
        sizes = [2**power for power in range(self.config.resolution.bit_length() - 1, 1, -1)]
        scales = [F.adaptive_avg_pool2d(batch.images, size) for size in sizes]
        return scales if self.config.model.multi_scale else scales[:1]

    def _judge(self, scales, condition, mismatched=None):
        return judge(self.d_layers, scales, condition, self.config.model.mbstd_group, mismatched)
