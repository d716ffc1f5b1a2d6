"""Certificates for a collector and for a sender, made with openssl."""

import subprocess
from pathlib import Path

STEPS = """
req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=test -days 2
req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=x -addext subjectAltName=DNS:collector.example
x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.crt -days 2 -copy_extensions copy
req -newkey rsa:2048 -nodes -keyout sender.key -out sender.csr -subj /CN=x -addext subjectAltName=DNS:sender.example
x509 -req -in sender.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out sender.crt -days 2 -copy_extensions copy
rsa -in sender.key -aes128 -passout pass:secret -out locked.key
"""


def make_certificates(where: Path) -> None:
    """Makes ca.pem, and signed by it NAME.key and NAME.crt: server for collector.example, sender for sender.example.

    locked.key is the sender's with a pass phrase.
    """
    for words in STEPS.strip().splitlines():
        subprocess.run(["openssl", *words.split()], cwd=where, check=True, capture_output=True)
