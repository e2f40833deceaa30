"""A private authority for the tests, with certificates good and bad."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Pair:
    """The files of a certificate and its key."""

    def __init__(self, folder: Path, name: str, certificate: x509.Certificate, key):
        self.certificate, self.key = certificate, key
        self.cert_file, self.key_file = folder / f"{name}.crt", folder / f"{name}.key"
        self.cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        self.key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))

    @property
    def serial(self) -> int:
        return self.certificate.serial_number


class Authority(Pair):
    """Signs certificates for 127.0.0.1 and for clients."""

    def __init__(self, folder: Path, name: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _builder(subject, subject, key, 3650).add_extension(x509.BasicConstraints(True, 0), critical=True)
        super().__init__(folder, name, builder.sign(key, hashes.SHA256()), key)

    def server(self, name: str = "server") -> Pair:
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, 30)

    def client(self, name: str = "client", expired: bool = False) -> Pair:
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, -1 if expired else 30)

    def _issue(self, name: str, usage, days: int) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = (
            _builder(_name(name), self.certificate.subject, key, days)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        return Pair(self.folder, name, builder.sign(self.key, hashes.SHA256()), key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject, issuer, key, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
    )
