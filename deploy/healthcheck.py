"""Exit with status 0 if the service on this machine responds. Uses Python, since an image may not have curl."""

import os
from ipaddress import ip_address
from urllib.request import urlopen

address = ip_address(os.environ.get("HOST") or "127.0.0.1")
if address.is_unspecified:  # The service listens at all addresses of this family.
    address = ip_address("127.0.0.1" if address.version == 4 else "::1")
host = f"[{address}]" if address.version == 6 else address
port = os.environ.get("PORT") or "8000"  # Kubernetes can set it to tcp://…, which the service ignores.
urlopen(f"http://{host}:{port if port.isdecimal() else 8000}/healthz", timeout=4).close()
