"""draft"""
import dataclasses
import numpy as np, torch, cv2
import torch.nn.functional as F
from siaf.model.adapted import decoder_tensors, with_decoder
from siaf.model.fine import stride_four
from siaf.model.propagation import concatenate
from siaf.model.identity import one_hot_mask
from siaf.preprocessing import resize_labels
from siaf.training.losses import segmentation_loss
from siaf.views import moved

DEF = dict(steps=40, rate=5e-4, views=8, pairs=.5, short="near", fine=True, both=False, kept=1.0, warm=5, hold=False, whole=.45, noise=False)


@dataclasses.dataclass
class Sample:
    streams: list
    features: object
    channels: list
    key: object
    before: object   # key, shares
    labels: object   # 1×H×W 0..K
    weight: float = 1.0


def plain(features):
    return features.map(lambda x: x.clone())


class Adapter:
    def __init__(self, model, frames, masks, objects, o):
        self.model, self.o = model, {**DEF, **o}
        self.net = model.propagation
        self.rng = np.random.default_rng(0)
        self.per = model.objects_per_pass
        self.objects = objects
        self.frames, self.masks = frames, masks
        self.features = {f: plain(model.encode(frames[f])) for f in masks}
        self.size = model._input_size(next(iter(self.features.values())))

    def slots(self, mask):
        return [torch.from_numpy(m) for m in self.objects.to_slots(mask, self.per)]

    def memory(self, features, labels):
        return self.net.reference(features, labels)

    def sample(self, target, labels, long, short, before_f, before_l, group):
        net = self.net
        streams, seen = net.transform(target, long, short)
        used = [0, *self.objects.slots(group, self.per)]
        table = torch.zeros(256, dtype=torch.long)
        table[torch.tensor(used)] = torch.arange(len(used))
        key = before = None
        if net.fine is not None:
            key = net.fine.encode(target.levels, net.config.align_corners)
            kb = net.fine.encode(before_f.levels, net.config.align_corners)
            b = stride_four(table[before_l.long()], len(used)); before = net.fine.carry(b, key, (kb, b))
        return Sample(streams, target, used, key, before, table[labels.long()])

    def lab(self, mask, group):
        return resize_labels(self.slots(mask)[group][None], self.size)

    @torch.no_grad()
    def pair(self, target, others, group):
        o = self.o
        L = {f: self.lab(self.masks[f], group) for f in (target, *others)}
        long = concatenate([self.memory(self.features[f], L[f]) for f in others])
        near = min(others, key=lambda f: abs(f - target))
        short, bf, bl = self.memory(self.features[near], L[near]), self.features[near], L[near]
        if o["short"] == "view":
            seen, lab = self.view(target, gentle=True)
            bf = plain(self.model.encode(seen)); bl = torch.from_numpy(self.objects.to_slots(lab, self.per)[group])[None]
            if o["noise"]:
                s = self.sample(bf, bl, long, self.memory(self.features[near], L[near]), self.features[near], L[near], group)
                bl = self.predict(self.net, s)
            short = self.memory(bf, bl)
        return self.sample(self.features[target], L[target], long, short, bf, bl, group)

    def small(self, f):
        h, w = self.size
        return cv2.resize(self.frames[f], (w, h), interpolation=cv2.INTER_AREA), cv2.resize(self.masks[f], (w, h), interpolation=cv2.INTER_NEAREST_EXACT)

    def view(self, f, gentle=False):
        p, m = self.small(f)
        return moved(p, m, self.rng, {"mirror": 0.0, "whole": 0.3} if gentle else {"whole": self.o["whole"]})

    @torch.no_grad()
    def views(self, frames):
        out = []
        o = self.o
        for i in range(o["views"]):
            f = frames[i % len(frames)]
            if o["both"] == "two":
                a, la = self.view(f); fa = plain(self.model.encode(a))
            else:
                a, la = None, self.small(f)[1]; fa = self.features[f]
            seen, lab = self.view(f)
            fb = plain(self.model.encode(seen))
            for g in range(self.objects.groups(self.per)):
                A = torch.from_numpy(self.objects.to_slots(la, self.per)[g])[None]
                B = torch.from_numpy(self.objects.to_slots(lab, self.per)[g])[None]
                ma = self.memory(fa, A)
                out.append(self.sample(fb, B, ma, ma, fa, A, g))
                if o["both"] is True:
                    mb = self.memory(fb, B)
                    out.append(self.sample(fa, A, mb, mb, fb, B, g))
        return out

    def logits(self, net, s):
        logits, hidden = net.decode(s.streams, s.features)
        used = logits[:, s.channels]
        if net.fine is None: return used
        valid = torch.ones(1, len(s.channels), dtype=torch.bool)
        return net.fine.weigh(used.softmax(1), net.fine.look(hidden, s.key)[:, None], s.before, valid)

    def big(self, x):
        return F.interpolate(x.float(), size=self.size, mode="bilinear", align_corners=self.net.config.align_corners)

    @torch.no_grad()
    def predict(self, net, s):
        w = self.big(self.logits(net, s)).argmax(1)
        return torch.tensor(s.channels)[w].to(torch.uint8)

    @torch.no_grad()
    def score(self, net, samples):
        js = []
        for s in samples:
            w = self.big(self.logits(net, s)).argmax(1)
            for c in range(1, len(s.channels)):
                a, b = w == c, s.labels == c
                if (a | b).any(): js.append(float((a & b).sum() / (a | b).sum()))
        return float(np.mean(js))

    def train(self, frames):
        o = self.o
        names = decoder_tensors(self.net)
        if not o["fine"]: names = {k: v for k, v in names.items() if not k.startswith("fine.")}
        if o["fine"] == "only": names = {k: v for k, v in names.items() if k.startswith("fine.")}
        net = with_decoder(self.net, names)
        net.requires_grad_(False)
        params = [p for n, p in net.named_parameters() if n in names]
        for p in params: p.requires_grad_(True)
        groups = range(self.objects.groups(self.per))
        pairs = [self.pair(t, [f for f in frames if f != t], g) for t in frames for g in groups] if len(frames) > 1 and o["pairs"] else []
        views = self.views(frames) if o["views"] else []
        mean = [torch.zeros_like(p) for p in params]; n_mean = 0
        opt = torch.optim.AdamW(params, lr=o["rate"], weight_decay=0)
        for step in range(o["steps"]):
            up = min(1, (step + 1) / max(1, o["warm"])); down = 1 - 0.9 * step / o["steps"]
            for g in opt.param_groups: g["lr"] = o["rate"] * min(up, down)
            src = pairs if pairs and (not views or self.rng.random() < o["pairs"]) else views
            s = src[int(self.rng.integers(len(src)))]
            x = self.big(self.logits(net, s))
            present = torch.ones(1, x.shape[1], dtype=torch.bool)
            kept = 1 - (1 - o["kept"]) * step / o["steps"]
            loss = segmentation_loss(x, s.labels, present, kept)
            opt.zero_grad(); loss.backward()
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            opt.step()
            if o.get('avg') and step >= o['steps'] * (1 - o['avg']):
                n_mean += 1
                for m_, p_ in zip(mean, params): m_ += p_.detach()
        if n_mean:
            for m_, p_ in zip(mean, params): p_.data = m_ / n_mean
        net.requires_grad_(False)
        return net


def adapt_model(model, frames, masks, objects, o):
    a = Adapter(model, frames, masks, objects, o)
    fs = sorted(masks)
    info = ""
    if o.get("hold") and len(fs) > 2:
        held = fs[len(fs) // 2]
        rest = [f for f in fs if f != held]
        net = a.train(rest)
        with torch.no_grad():
            t = [a.pair(held, rest, g) for g in range(objects.groups(a.per))]
        s0, s1 = a.score(a.net, t), a.score(net, t)
        info = f"held {s0:.3f}>{s1:.3f}"
        if s1 <= s0: return model, info + " shipped"
        if o["hold"] == "all":
            a.rng = np.random.default_rng(0)
            net = a.train(fs)
    else:
        net = a.train(fs)
    return dataclasses.replace(model, propagation=net), info
