"""Readers of settings: each takes a variable's name and its text, and returns the value or raises SettingError."""

import codecs
import re
from collections.abc import Callable
from importlib.util import find_spec
from ipaddress import ip_address
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from click import ClickException
from jwt import InvalidKeyError
from jwt.algorithms import HMACAlgorithm

from config_database_url import InvalidUrl, clean_url

Reader = Callable[[str, str], Any]

# Better Auth's defaults when no secret is set. They are public, so anyone can sign with them.
PUBLIC_SECRETS = {"better-auth-secret-12345678901234567890", "better-auth-secret-123456789"}
# Words of the placeholders in .env.example files, also where they are joined: yoursupersecretkey, CHANGE-ME.
WORDS = (
    "add and another app asdfghjkl at-least auth backend before better between bits build bytes change char "
    "character create default demo dev development docker don dummy enter example fallback for frontend generate "
    "generated hackathon here insert jwt keep key least local long match maximum min minimum must new next not "
    "only openssl our own password paste phase placeholder please prod production put qwertyuiop rand random "
    "replace safe same sample secret secure session set shared signing some string strong super task test that "
    "the this todo token use value very with you your zxcvbnm "
    # Spanish, Portuguese, French, Italian, German, Dutch, Polish, Turkish, Russian, Arabic, Chinese, Japanese, Korean.
    "aquí aqui cambia cambiar caracteres clave esta minimo mínimo reemplaza secreta tu altere aleatoria chave pelo "
    "menos segredo sua troque caractères changez cle clé ici moins remplacez secrète votre almeno caratteri chiave "
    "qui segreta tua aendern ändern bitte dein dieser ersetzen geheim geheimer geheimes hier ihr mindestens "
    "schluessel schlüssel zeichen anahtar buraya değiştir degistir en az gizli karakter karakterlik uzun "
    "inserisci lunga la geheime hier in je minimaal sleutel tekens vul klucz minimum swoj tajny tutaj wpisz znaki "
    "اكتب السري المفتاح حرفا هنا 字符串 密钥 替换 请 随机 あなたの ここに 入力してください 秘密鍵 "
    "여기에 비밀키 이상 입력하세요 필수 "
    "ваш его замените ключ минимум секретный секрет символа символов этот"
)
WORD = re.compile("|".join(sorted(WORDS.split(), key=len, reverse=True)))
# Digits that stand for letters: s3cr3t.
LETTERS = str.maketrans("013457", "oleast")
# What a shell would have replaced: $(openssl rand -base64 32).
COMMAND = re.compile(r"(?:\$\(|`)\s*[a-z]+\s")
SEPARATORS = re.compile(r"[\s_.,:;<>()\[\]{}$'\"-]+")
HOST_NAME = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?"
LABEL = "[a-z0-9_-]+"
ORIGIN_HOST = rf"[a-z0-9._-]+|(?:(?:{LABEL}|[a-z0-9_-]*\*[a-z0-9_-]*)\.)+{LABEL}\.{LABEL}|\[[0-9a-f:.]+\]"
# Top-level domains that are not on the Internet, and those of Kubernetes and Fly.
PRIVATE_DOMAINS = {"arpa", "flycast", "internal", "intranet", "lan", "local", "localhost", "svc", "test"}
PATH_CHARACTER = r"[A-Za-z0-9._~!$&'()*+,;=:/%-]"  # RFC 3986 section 3.3


class SettingError(ClickException):
    """A setting is missing or invalid; the message names the variable and says what is allowed."""

    exit_code = 2

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")


def decode_text(content: bytes) -> str:
    """Return text in UTF-8, or in UTF-16 with a byte order mark; raises ValueError.

    Editors and shells of Windows write such files.
    """
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if marked else "utf-8-sig")


def read_text(name: str, text: str) -> str:
    """Return the text without spaces around it."""
    return text.strip()


def read_texts(name: str, text: str) -> tuple[str, ...]:
    """Return the texts between commas, without spaces around them."""
    texts = tuple(each for part in text.split(",") if (each := part.strip()))
    if not texts:
        raise SettingError(name, f"is {text.strip()!r}: it must be a value, or several between commas")
    return texts


def integer_to(largest: int, auto: int | None = None) -> Reader:
    """Return a reader of whole numbers from 1, and of the word "auto" if that has a value."""

    def read(name: str, text: str) -> int:
        text = text.strip()
        if auto is not None and text.lower() == "auto":
            return auto
        if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= largest:
            words = "" if auto is None else ", or auto"
            raise SettingError(name, f"is {text!r}: it must be a whole number from 1 to {largest}{words}")
        return int(text)

    return read


def one_of(*words: str) -> Reader:
    """Return a reader of one of these words, in upper or lower case."""

    def read(name: str, text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise SettingError(name, f"is {word!r}: it must be {', '.join(words[:-1])} or {words[-1]}")
        return word

    return read


def read_database_url(name: str, text: str) -> str:
    """Return the URL of the database as libpq, PostgreSQL's client library, reads it."""
    try:
        return clean_url(text)
    except InvalidUrl as problem:
        raise SettingError(name, str(problem)) from None


def read_secret(name: str, text: str) -> str:
    """Return the secret unchanged: spaces around it are part of it."""
    if text.strip() in PUBLIC_SECRETS:
        raise SettingError(name, "is Better Auth's public default, which anyone can sign with: set your own")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise SettingError(name, "is not text in UTF-8") from None
    if size < 32:
        raise SettingError(name, f"has {size} bytes: at least 32 are needed")
    if is_placeholder(text):
        raise SettingError(
            name, "is a placeholder that anyone can guess: set your own, such as openssl rand -base64 32 prints"
        )
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(text)
    except InvalidKeyError:
        raise SettingError(
            name, "is a public or private key, not a secret: give the text that Better Auth has"
        ) from None
    return text


def is_placeholder(text: str) -> bool:
    """Return whether a text is a command for a shell, or not random without the words of placeholders.

    A random secret keeps many characters, since it has few of the words, and only short ones.
    """
    lower = text.lower()
    return COMMAND.match(text.strip()) is not None or any(map(is_regular, (lower, lower.translate(LETTERS))))


def is_regular(text: str) -> bool:
    """Return whether a text in lower case is short, repeats or counts, without those words."""
    rest = SEPARATORS.sub("", WORD.sub("", text))
    repeats = any(rest[size:] == rest[:-size] for size in range(1, 17) if size < len(rest))
    steps = sum(ord(after) - ord(before) in {0, 1} for before, after in pairwise(rest))
    return len(rest) < 16 or len(set(rest)) < 8 or repeats or steps * 4 > len(rest) * 3


def web_address(example: str, *, with_query: bool = False) -> Reader:
    """Return a reader of URLs that every program understands alike.

    It refuses a user, a password, a fragment, and characters that some programs drop or convert.
    """
    query = r"(?:\?[!-~]*)?" if with_query else ""
    form = rf"(?i:https?)://(?:{HOST_NAME}|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:/{PATH_CHARACTER}*)?{query}"

    def read(name: str, text: str) -> str:
        try:
            address = urlsplit(text.strip())
            valid = re.fullmatch(form, text.strip()) and address.port != 0
            if ":" in str(address.hostname):
                ip_address(str(address.hostname))
        except ValueError:  # The port or the IPv6 address is invalid.
            valid = False
        if not valid:
            raise SettingError(name, f"is not a web address that can be used: it must look like {example}")
        return address.geturl()

    return read


def find_jwks_url(server: str) -> str:
    """Return where a Better Auth server publishes its keys: below its URL's path, or else below /api/auth."""
    address = urlsplit(server)
    return address._replace(path=f"{address.path.rstrip('/') or '/api/auth'}/jwks", query="").geturl()


def find_origin(url: str) -> str:
    """Return a web address's origin as browsers write it, without a default port."""
    address = urlsplit(url)
    host = str(address.hostname)
    host = f"[{ip_address(host)}]" if ":" in host else host
    port = "" if address.port in {None, {"http": 80, "https": 443}[address.scheme]} else f":{address.port}"
    return f"{address.scheme}://{host}{port}"


def is_public(host: str) -> bool:
    """Return whether a host is on the Internet, as far as its name or address tells. Sockets have no host."""
    try:
        return ip_address(host.partition("%")[0]).is_global
    except ValueError:
        labels = host.lower().rstrip(".").split(".")
        return not host.startswith(("/", "@")) and len(labels) > 1 and labels[-1] not in PRIVATE_DOMAINS


def read_origins(name: str, text: str) -> tuple[str, ...]:
    """Return comma-separated origins as browsers write them: in lower case, without a default port.

    ``*`` within a host stands for a part of one label. It is refused in the last two labels: https://*.com would be
    the origin of almost anybody.
    """
    origins = []
    for origin in [each for part in text.split(",") if (each := part.strip().rstrip("/").lower())] or [text]:
        found = re.fullmatch(rf"\*|([a-z][a-z0-9.+-]*://(?:{ORIGIN_HOST}))(?::([0-9]{{1,5}}))?", origin)
        if found is None or int(found[2] or 1) not in range(1, 65536):
            raise SettingError(
                name,
                f"has {origin!r}: each origin, between commas, must look like https://app.example.com, or like"
                " https://app-*.example.com with one * in a label before the last two, or be *",
            )
        port = "" if found[2] is None else f":{int(found[2])}"
        is_default = origin.partition(":")[0] + port in {"http:80", "https:443"}
        origins.append(origin if found[1] is None else found[1] + ("" if is_default else port))
    return tuple(origins)


def read_rate_limit(name: str, text: str) -> str | None:
    """Return a rate such as 600/minute; None for "off"."""
    text = text.strip()
    if text.lower() == "off":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8} ?/ ?(second|minute|hour|day)", text):
        raise SettingError(name, f"is {text!r}: it must be like 600/minute (second, hour, day), or off")
    return text


def read_redis_url(name: str, text: str) -> str:
    """Return the URL of a Redis server."""
    url = text.strip()
    if not re.match(r"rediss?://[^/\s]", url):
        raise SettingError(name, "is not the URL of a Redis: it must look like redis://host:6379")
    require_package(name, "redis", "redis")
    return url


def read_ip_address(name: str, text: str) -> str:
    """Return an IPv4 or IPv6 address."""
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        raise SettingError(
            name, f"is {text.strip()!r}: it must be an address such as 127.0.0.1, 0.0.0.0 or ::"
        ) from None


def require_package(name: str, module: str, package: str) -> None:
    """Raise SettingError if a setting needs an optional package that is not installed."""
    if find_spec(module) is None:
        raise SettingError(name, f"needs a package that is not installed: pip install {package}")
