"""A training that saves its work when it is asked to, alone or under a launcher as torchrun is one: `train NAME SIGNAL...`, `launch COUNT SIGNAL...`,
and `deaf`, which handles nothing. What each gets it writes to /out/NAME.got, a line for each time."""
import os
import signal
import subprocess
import sys


def say(path, text):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, text.encode())
    os.close(file)


def train(name, *signals):
    def save(number, _):
        say(f"/out/{name}.got", signal.Signals(number).name + "\n")
        say(f"/out/{name}.state", "epoch 17\n")
        sys.exit(0)

    for number in signals:
        signal.signal(getattr(signal, "SIG" + number), save)
    say(f"/out/{name}.up", "")
    while True:
        signal.pause()


def launch(count, *signals):
    workers = [subprocess.Popen([sys.executable, __file__, "train", f"worker{i}", *signals]) for i in range(int(count))]

    def hand_on(number, _):
        say("/out/launcher.got", signal.Signals(number).name + "\n")
        for worker in workers:
            worker.send_signal(number)

    signal.signal(signal.SIGTERM, hand_on)
    say("/out/launcher.up", "")
    sys.exit(max(worker.wait() for worker in workers))


def deaf():
    say("/out/deaf.up", "")
    while True:
        signal.pause()


{"train": train, "launch": launch, "deaf": deaf}[sys.argv[1]](*sys.argv[2:])
