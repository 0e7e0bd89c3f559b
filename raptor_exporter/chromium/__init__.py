"""Browsers as processes: find one, start it so that it outlives its script, end it and no other.

No Playwright here: a browser is started as a program and spoken to over a plain websocket.
"""
