# Each process says who it is, and what all of them add up to, in small and in messages that need more than one packet.
from array import array
from mpi4py import MPI

world = MPI.COMM_WORLD
total = world.allreduce(world.rank + 1)
many, sums = array("d", [world.rank] * 100_000), array("d", [0] * 100_000)
world.Allreduce(many, sums)
print(f"rank {world.rank} of {world.size}: {total}, {sum(sums):.0f}", flush=True)
