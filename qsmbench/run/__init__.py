"""One method on one scan: how it is found, what it is given, and the processes in which it runs."""
