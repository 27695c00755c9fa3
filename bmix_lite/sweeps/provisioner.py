"""How Jupyter is given a kernel that a ForkServer starts."""

import functools
import os
import uuid


def make_provisioner(manager, server):
    """A provisioner for a kernel manager: forked where that can be, else a process of its own."""
    provisioner = _make_class()(
        kernel_id=manager.kernel_id or str(uuid.uuid4()),
        kernel_spec=manager.kernel_spec,
        parent=manager,
    )
    provisioner.server = server
    return provisioner


@functools.cache
def _make_class():
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner

    class Forked(LocalProvisioner):
        server = None

        async def launch_kernel(self, cmd, **options):
            env = options.get("env") or dict(os.environ)
            process = self.server.start(cmd, env, options.get("cwd") or os.getcwd())
            if process is None:
                return await super().launch_kernel(cmd, **options)
            self.process = process
            self.pid = process.pid
            self.pgid = process.pid  # a kernel leads its own session
            return self.connection_info

    return Forked
