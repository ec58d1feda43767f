# Trains a small network, on GPUs where there are some and else on CPUs, by as many processes as there are: each has a part of the
# data, and all have the same weights. torch.distributed finds the others by the variables that Coracle or torchrun has set.
import argparse
import hashlib
import json
import os
import pathlib

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

args = argparse.ArgumentParser()
args.add_argument("--epochs", type=int, default=80)
args.add_argument("--rate", type=float, default=0.02)
args.add_argument("--target", type=float, default=0.2, help="the loss to reach")
args.add_argument("--out", type=pathlib.Path, help="a directory for the weights")
args = args.parse_args()

rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
gpu = torch.cuda.is_available()
device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()) if gpu else torch.device("cpu")
if size > 1:
    dist.init_process_group("nccl" if gpu else "gloo")

# Points of a ring and of its middle: no line parts them.
torch.manual_seed(1 + rank)
points = torch.randn(256, 2, device=device) * 1.5
labels = (points.norm(dim=1) > 1.8).float().unsqueeze(1)

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)).to(device)
trained = DistributedDataParallel(model) if size > 1 else model
optimizer = torch.optim.Adam(trained.parameters(), lr=args.rate)
metrics = open(os.environ.get("CORACLE_METRICS", os.devnull), "a", buffering=1)
for epoch in range(1, args.epochs + 1):
    optimizer.zero_grad()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(trained(points), labels)
    loss.backward()
    optimizer.step()
    mean = loss.detach().clone()
    if size > 1:
        dist.all_reduce(mean)
        mean /= size
    metrics.write(json.dumps({"step": epoch, "loss": mean.item()}) + "\n")

weights = b"".join(p.detach().cpu().numpy().tobytes() for p in model.parameters())
digest = hashlib.sha256(weights).hexdigest()
if args.out:
    (args.out / f"weights.{rank}").write_text(digest + "\n")
print(f"rank {rank} of {size} on {device.type}: loss {mean.item():.3f}, weights {digest[:12]}", flush=True)
if size > 1:
    dist.barrier()
    dist.destroy_process_group()
if mean.item() > args.target:
    raise SystemExit(f"the loss is {mean.item():.3f}, not {args.target}")
