"""What a pretext asks of the other workers: gathered samples and global statistics, with gradients.

Every helper is the identity with one worker. With W workers under DDP (which averages gradients
over workers), a loss built from these equals the loss of one worker with the same global batch,
and so does its gradient.
"""
