"""Options of the command line."""


def add_option(command, name, default, about):
    """Add an option of the type of its default, which its help states."""
    about = f"{about} (default: %(default)s)"
    command.add_argument(name, default=default, type=type(default), help=about)
