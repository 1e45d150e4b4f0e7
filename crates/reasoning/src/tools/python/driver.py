# What python3 runs inside the sandbox: lower the limits for good, then run programs as the host sends them.
# argv: "program" or "session", then NAME:soft:hard for each resource limit.
# The protocol is in process.rs. Only built-in modules are imported: start-up time is what a short program pays for.
import _ast
import os
import resource
import sys


def serve():
    os.closerange(3, 1 << 16)  # what the host's process left open by mistake
    control = os.dup(0)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    clean = sys.argv[1] == "program"
    lowered = []
    for argument in sys.argv[2:]:
        name, soft, hard = argument.split(":")
        try:
            resource.setrlimit(getattr(resource, name), (int(soft), int(hard)))
            lowered.append(name)
        except (AttributeError, ValueError, OSError):
            pass
    sys.argv[:] = [""]
    sys.stdin = open(0, "r", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)

    def receive(size):
        data = b""
        while len(data) < size:
            part = os.read(control, size - len(data))
            if not part:
                os._exit(0)
            data += part
        return data

    def send(kind, payload):
        if isinstance(payload, str):
            payload = payload.encode("utf-8", "backslashreplace")
        data = kind + len(payload).to_bytes(4, "big") + payload
        while data:
            data = data[os.write(control, data):]

    main = type(sys)("__main__")
    main.__builtins__ = __builtins__
    sys.modules["__main__"] = main
    send(b"S", ",".join(lowered))
    count = 0
    while True:
        kind = receive(1)
        source = receive(int.from_bytes(receive(4), "big"))
        count += 1
        name = "<program>" if clean else "<snippet %d>" % count
        outcome, value, error = run(source, name, main.__dict__)
        if clean:
            finish()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        if value is not None:
            send(b"V", value)
        if error is not None:
            send(b"E", error)
        send(b"D", outcome)


def run(source, name, namespace):
    """(outcome, repr of the last expression, traceback) of one program."""
    try:
        source = source.decode()
        tree = compile(source, name, "exec", 0x400)  # ast.PyCF_ONLY_AST
        last = None
        if tree.body and type(tree.body[-1]) is _ast.Expr:
            last = compile(_ast.Expression(tree.body.pop().value), name, "eval")
        code = compile(tree, name, "exec")
    except (SyntaxError, ValueError, UnicodeDecodeError) as error:
        return "syntax", None, describe(error, None, source, name)
    except (MemoryError, RecursionError) as error:
        return "syntax", None, describe(error, None, source, name)
    try:
        exec(code, namespace)
        value = None if last is None else eval(last, namespace)
        if value is not None:
            namespace["_"] = value
            value = repr(value)
        return "ok", value, None
    except SystemExit as error:
        if error.code is None or error.code == 0:
            return "ok", None, None
        return "exception", None, "SystemExit: %s" % (error.code,)
    except MemoryError as error:
        return "memory", None, describe(error, error.__traceback__, source, name)
    except OSError as error:
        # EPERM, EACCES, EROFS, ENOSYS, ENETUNREACH: the sandbox said no.
        outcome = "refused" if error.errno in (1, 13, 30, 38, 101) else "exception"
        return outcome, None, describe(error, error.__traceback__, source, name)
    except BaseException as error:
        return "exception", None, describe(error, error.__traceback__, source, name)


def describe(error, trace, source, name):
    """The traceback as python3 prints it, without the frames of this file."""
    try:
        import linecache
        import traceback

        if isinstance(source, str):
            linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        while trace is not None and trace.tb_frame.f_code.co_filename == "<string>":
            trace = trace.tb_next
        return "".join(traceback.format_exception(type(error), error, trace)).rstrip("\n")
    except BaseException:  # out of memory, or of file descriptors to import with
        return "%s: %s" % (type(error).__name__, error)


def finish():
    """What python3 does when a program has ended: wait for its threads, run its exit functions."""
    threading = sys.modules.get("threading")
    atexit = sys.modules.get("atexit")
    try:
        if threading is not None:
            threading._shutdown()
        if atexit is not None:
            atexit._run_exitfuncs()
    except BaseException:
        pass


serve()
