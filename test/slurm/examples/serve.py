# Answers POST /predict, a list of points, by which of them are in the ring that train.py's are parted by.
import argparse
import http.server
import json
import os
import pathlib
import signal
import socket
import threading

import torch

args = argparse.ArgumentParser()
args.add_argument("--port", type=int, default=0, help="0: any that is free")
args.add_argument("--out", type=pathlib.Path, required=True, help="a directory for service.url")
args = args.parse_args()


class Predict(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        points = torch.tensor(json.loads(self.rfile.read(int(self.headers["Content-Length"]))), dtype=torch.float32)
        answer = json.dumps((points.norm(dim=1) > 1.8).tolist()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("", args.port), Predict)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
# Whoever reads it reads all of it: it appears by its name when it is written.
written = args.out / ".service.url"
written.write_text(f"http://{socket.gethostname()}:{server.server_port}/predict\n")
os.rename(written, args.out / "service.url")
server.serve_forever()
(args.out / "service.url").unlink()
print("the service has ended", flush=True)
