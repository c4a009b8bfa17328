"""The subcommands of `sg-tui`, one a file: its options, and what it does. Heavy modules are imported when it runs."""
