"""What an export has from outside: its report on paper, and time stamps."""
