"""Work in a process of its own: what ran before is neither in its memory nor on its threads."""

from multiprocessing import get_context

from fastconv.errors import FastconvError


class ProcessError(FastconvError, RuntimeError):
    """What ran in a process of its own failed there, or the process died."""


def alone(function, *arguments):
    """function(*arguments), computed in a fresh interpreter; its result, or its error.

    function: of a module that can be imported; arguments and result can be pickled. Errors that are
    not fastconv's, and a process that was killed, come as ProcessError.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, arguments))
    process.start()
    sender.close()  # the process has its own end: when that closes, there is nothing to wait for
    try:
        result, error = receiver.recv()
    except EOFError:
        process.join()
        raise ProcessError(
            f"{function.__name__}: its process ended with exit code {process.exitcode} (-9: killed,"
            " mostly for want of memory)"
        ) from None
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()
        receiver.close()
    if error is not None:
        raise error
    return result


def _answer(sender, function, arguments):
    try:
        found = function(*arguments), None
    except KeyboardInterrupt:
        return  # Ctrl-C reaches the parent too
    except FastconvError as error:
        found = None, error
    except Exception as error:  # it may hold what cannot be pickled
        found = None, ProcessError(f"{type(error).__name__}: {error}")
    sender.send(found)
