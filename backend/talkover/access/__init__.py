"""Who may do what, and how much of it: keys, client secrets, hosts, origins, addresses. Decisions, and no sockets."""
