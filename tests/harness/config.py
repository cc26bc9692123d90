"""firnd under a configuration of the test's own."""

import contextlib
import subprocess
import textwrap


def write_config(directory, text):
    path = directory / "firnd.yaml"
    path.write_text(textwrap.dedent(text))
    path.chmod(0o644)
    return path


def check_config(firnd, *arguments):
    return subprocess.run([firnd, "--check-config", *arguments], capture_output=True, text=True,
                          timeout=60)


def in_namespace(script):
    """Words before a command, which run it in a mount namespace that `script` has set up."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            f"{script} && exec \"$@\"", "sh"]


def status_of(firn, place, user=None):
    (mounted,) = firn.status(place, user=user)["mounts"]
    return mounted


@contextlib.contextmanager
def job(firn, image, *options, user=None):
    """A `firn run` that holds still while it lasts; gives its status."""
    command = [firn.path, "run", *options, image, "--", "sh", "-c", "echo started; read line"]
    arguments = user.popen_arguments() if user else {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          **arguments) as process:
        try:
            assert process.stdout.readline() == b"started\n"
            jobs = [mount for mount in firn.status(user=user)["mounts"]
                    if mount["job"] and mount["image"] == str(image)]
            assert len(jobs) == 1
            yield jobs[0]
        finally:
            process.stdin.close()
