"""Many scans: found, analyzed by several processes or a cluster, recorded so that nothing is lost or done twice."""
