"""Training steps of some models of flowc written in PyTorch, on demand: see `peers.py`.

    python benchmarks/torch_steps.py MODEL eager|compile THREADS

See `serve.py` for what it reads and prints.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from serve import serve
from torch import nn
from torch.nn import functional as F

Step = Callable[[], None]
Loss = Callable[[], torch.Tensor]
LAST = torch.channels_last


def stepper(
    module: nn.Module, optimizer: torch.optim.Optimizer, loss: Loss, clip: bool = False
) -> Step:
    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        if clip:
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()

    return step


def classifier(net: nn.Module, images: torch.Tensor, mode: str, **settings: float) -> Step:
    labels = torch.randint(0, 10, (len(images),))
    if settings:
        optimizer: torch.optim.Optimizer = torch.optim.SGD(
            net.parameters(), momentum=0.9, fused=True, **settings)
    else:
        optimizer = torch.optim.Adam(net.parameters(), 1e-5, fused=True)
    forward = torch.compile(net) if mode == "compile" else net
    return stepper(net, optimizer, lambda: F.cross_entropy(forward(images), labels))


def bytes_of(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


class Scaled(nn.Module):
    """Bytes to numbers, then the layers."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.float() / 255)


def fashion_mlp(mode: str) -> Step:
    net = Scaled(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return classifier(net, bytes_of(128, 28, 28), mode)


def lenet(mode: str) -> Step:
    net = Scaled(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2),
        nn.ReLU(), nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Dropout(0.25),
        nn.Linear(500, 10))
    return classifier(net, bytes_of(64, 1, 28, 28), mode, lr=1e-5)


class Residual(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(filters), nn.BatchNorm2d(filters)])
        self.past = nn.Identity() if channels == filters else nn.Sequential(
            nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(y)) + self.past(x))


def resnet20(mode: str) -> Step:
    layers: list[nn.Module] = [
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    channels = 16
    for filters in (16, 32, 64):
        for k in range(3):
            layers.append(Residual(channels, filters, 2 if k == 0 and filters > 16 else 1))
            channels = filters
    net = Scaled(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    net = net.to(memory_format=LAST)
    images = bytes_of(32, 3, 32, 32).contiguous(memory_format=LAST)
    return classifier(net, images, mode, lr=1e-5, weight_decay=1e-4)


class CharLstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(65, 64)
        self.lstm = nn.LSTM(64, 128, batch_first=True)
        self.head = nn.Linear(128, 65)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.table(tokens))[0])


class Block(nn.Module):
    def __init__(self, d: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(d), nn.LayerNorm(d)])
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d)
        self.wide, self.narrow = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, time_, d = x.shape
        shape = (batch, time_, self.heads, d // self.heads)
        q, k, v = (
            part.view(shape).transpose(1, 2) for part in self.qkv(self.norms[0](x)).split(d, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, time_, d))
        return x + self.narrow(F.gelu(self.wide(self.norms[1](x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, d: int = 64, heads: int = 4, layers: int = 2):
        super().__init__()
        self.table, self.places = nn.Embedding(65, d), nn.Parameter(torch.randn(64, d) * 0.02)
        self.blocks = nn.ModuleList([Block(d, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(d)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens) + self.places
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.table.weight.T


def reader(net: nn.Module, optimizer: torch.optim.Optimizer, mode: str) -> Step:
    tokens, target = torch.randint(0, 65, (2, 32, 64))
    forward = torch.compile(net) if mode == "compile" else net
    return stepper(
        net, optimizer,
        lambda: F.cross_entropy(forward(tokens).flatten(0, 1), target.flatten()), clip=True)


def char_lstm(mode: str) -> Step:
    net = CharLstm()
    return reader(net, torch.optim.Adam(net.parameters(), 1e-5, fused=True), mode)


def gpt(mode: str) -> Step:
    net = Gpt()
    return reader(net, torch.optim.AdamW(net.parameters(), 1e-5, fused=True), mode)


MODELS = {f.__name__: f for f in (fashion_mlp, lenet, resnet20, char_lstm, gpt)}


def main() -> None:
    model, mode, threads = sys.argv[1:]
    torch.manual_seed(1)
    torch.set_num_threads(int(threads))
    step = MODELS[model](mode)

    def steps(count: int) -> None:
        for _ in range(count):
            step()

    serve(steps)


if __name__ == "__main__":
    main()
