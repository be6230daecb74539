"""Networks for the cases of advice: for rows of D numbers and C classes."""

import torch
from torch import nn

import distil

D, C = 4, 3


def net(outputs=C, inputs=D):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, outputs))


class Returns(nn.Module):
    """A network whose return value a function makes of logits (B, 3) and of other outputs."""

    def __init__(self, value, outputs=C):
        super().__init__()
        self.body, self.head, self.value = nn.Linear(D, 8), nn.Linear(8, outputs), value

    def forward(self, x):
        h = self.body(x)
        return self.value(self.head(h), h)


class Two(nn.Module):
    """Two layers that return logits, and one that is not called."""

    def __init__(self):
        super().__init__()
        self.body, self.first, self.second, self.spare = (
            nn.Linear(D, 8),
            nn.Linear(8, C),
            nn.Linear(8, C),
            nn.Linear(8, C),
        )

    def forward(self, x):
        h = self.body(x)
        return self.first(h), self.second(h)


class Own(distil.Network):
    """A network of the user's own, without logits and samples."""

    def asking(self, runtime):
        return torch.no_grad()

    def outputs(self, batch):
        return distil.Outputs(None, batch)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(D, C)

    def forward(self, x):
        return self.head(x)
