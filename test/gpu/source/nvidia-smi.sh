#!/bin/sh
# The fake nvidia-smi: the driver's version and the GPUs whose nodes are there.
echo "NVIDIA-SMI VERSION"
for node in /dev/nvidia[0-9]*; do
	[ -c "$node" ] && echo "GPU ${node#/dev/nvidia}"
done
exit 0
