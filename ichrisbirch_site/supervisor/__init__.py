"""`icb up`: web, workers and beat as children of one process, which starts them again when they die and stops them all in order.

They run in the foreground of a terminal or in the background; which of them run here, and who keeps them, stands in pid files
beside those of the embedded services.
"""
