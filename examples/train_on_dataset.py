"""Train a small network on a published dataset and test it: `train_on_dataset.py FOLDER`."""

from __future__ import annotations

import sys
from typing import Any

import datasets
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.transforms import v2

torch.manual_seed(0)
splits = datasets.load_dataset(sys.argv[1])
# Labels are 0 for real, 1 for fake; others, such as laundered images, are left out here.
splits = splits.filter(lambda label: label in {0, 1}, input_columns="label")
to_tensor = v2.Compose([v2.ToImage(), v2.Resize((64, 64)), v2.ToDtype(torch.float32, scale=True)])


def batched(rows: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images, shape (N, 3, 64, 64), and labels."""
    images = torch.stack([to_tensor(row["image"].convert("RGB")) for row in rows])
    return images, torch.tensor([row["label"] for row in rows])


network = torch.nn.Sequential(
    *(torch.nn.Conv2d(3, 16, 5, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 5, stride=2)),
    *(torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(512, 2)),
)
optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
loader = DataLoader(splits["train"], batch_size=16, shuffle=True, collate_fn=batched)
for epoch in range(8):
    for images, labels in loader:
        loss = cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"epoch {epoch}: loss {loss.item():.3f}")

with torch.no_grad():
    images, labels = batched(list(splits["test"]))
    accuracy = (network(images).argmax(1) == labels).float().mean().item()
print(f"accuracy on {len(labels)} images of the test split: {accuracy:.2f}")
