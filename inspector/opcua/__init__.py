"""An OPC UA server with the line's results, health and plans, after the companion specification Machine Vision.

It is a process beside the line that no verdict waits for. `nodesets` holds the OPC Foundation's own description of
the types (MIT licence, in the file), as in npm's node-opcua-nodesets 2.182.0.
"""
