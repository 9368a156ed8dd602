"""Settings are read once. An invalid value is refused with the name of its variable and the allowed values."""

import os
import string
from pathlib import Path
from random import Random

import pytest
from dotenv import load_dotenv

from config import SettingError, Settings, environment, list_risks, list_unused
from tests.support.commands import run

RANDOM = "Vq3kZt8LwYb1NcRe6MdXh9GpJs2FaUo5"
SECRET = {"BETTER_AUTH_SECRET": RANDOM}


def test_only_the_secret_is_required() -> None:
    settings = Settings.read(SECRET)
    assert settings.database_url is None
    assert settings.cors_origins == ("http://localhost:3000",)
    assert settings.port == 8000
    assert settings.web_concurrency >= 1


@pytest.mark.parametrize("url", ["postgres://u:p@h/d?sslmode=require", "PostgreSQL://u:p@h/d?sslmode=require"])
@pytest.mark.parametrize("name", ["NEON_DB_URL", "DATABASE_URL"])
def test_both_schemes_of_a_database_url_are_accepted(name: str, url: str) -> None:
    assert Settings.read(SECRET | {name: url}).database_url == "postgresql://u:p@h/d?sslmode=require"


def test_neon_db_url_wins_over_database_url_unless_empty() -> None:
    urls = {"NEON_DB_URL": "postgres://neon/d", "DATABASE_URL": "postgres://other/d"}
    assert Settings.read(SECRET | urls).database_url == "postgresql://neon/d"
    assert Settings.read(SECRET | urls | {"NEON_DB_URL": " "}).database_url == "postgresql://other/d"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("BETTER_AUTH_SECRET", "", "nor is BETTER_AUTH_URL (or JWKS_URL): give the secret"),
        ("BETTER_AUTH_SECRET", RANDOM[:31], "at least 32"),
        ("BETTER_AUTH_SECRET", "better-auth-secret-12345678901234567890", "public default"),
        ("BETTER_AUTH_SECRET", " better-auth-secret-123456789\n", "public default"),
        ("NEON_DB_URL", "mysql://h/d", "postgresql://"),
        ("NEON_DB_URL", "postgresql://", "postgresql://"),
        ("DATABASE_URL", "sqlite:///x.db", "postgresql://"),
        ("DATABASE_URL", "localhost", "postgresql://"),
        ("NEON_DB_URL", "postgresql://u:p@h:port/d", "its port"),
        ("NEON_DB_URL", "postgresql://u:p@h/d?pgbouncer=true", "the parameter pgbouncer"),
        ("NEON_DB_URL", "postgresql://u:p@h/d?sslmode=bogus", "its parameter sslmode"),
        ("NEON_DB_URL", "postgresql://u:p@h:99999/d", "its port"),
        ("NEON_DB_URL", "postgresql://u:p@h:0/d", "its port"),
        ("NEON_DB_URL", "postgresql://u:p%00@h/d", "%-escapes"),
        ("BETTER_AUTH_SECRET", "\udcff" * 40, "UTF-8"),
        ("BETTER_AUTH_URL", "app.example.com", "https://app.example.com"),
        ("BETTER_AUTH_URL", "ftp://app.example.com", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://app.example.com:port", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://app.example.com:0", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://app.example.com/?a=b", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://äpp.example.com", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://a.example,https://b.example", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://a.example\\.b.example", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://a.example\n.b.example", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://[::1]a.example", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://[1::2::3]", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://a..example", "https://app.example.com"),
        ("BETTER_AUTH_URL", "https://a.example:65536", "https://app.example.com"),
        ("BETTER_AUTH_SECRET", '{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}', "not a secret"),
        ("JWKS_URL", "https://user:password@app.example.com/jwks", "https://app.example.com/api/auth/jwks"),
        ("JWKS_URL", "https://app.example.com/jwks#keys", "https://app.example.com/api/auth/jwks"),
        ("JWKS_URL", "https://app.example.com/my jwks", "https://app.example.com/api/auth/jwks"),
        ("JWKS_URL", "http://[::1/jwks", "https://app.example.com/api/auth/jwks"),
        ("CORS_ORIGINS", " , ", "https://app.example.com"),
        ("CORS_ORIGINS", "http://localhost:99999", "https://app.example.com"),
        ("CORS_ORIGINS", "http://localhost:0", "https://app.example.com"),
        ("CORS_ORIGINS", "localhost:3000", "https://app.example.com"),
        ("CORS_ORIGINS", "http://ok.example, http://*.example", "https://app.example.com"),
        *[
            ("CORS_ORIGINS", origin, "one * in a label before the last two")
            for origin in (
                "https://*",
                "https://*.com",
                "https://*.com.",
                "https://*.",
                "https://app.*.com",
                "https://*.*.com",
                "https://a.vercel.*",
                "https://a-**.vercel.app",
                "https://*-*.vercel.app",
                "https://*..com",
                "*://app.example.com",
                "https*://app.example.com",
                "https://app.example.com:*",
                "https://[*]",
                "**",
            )
        ],
        ("CORS_ORIGINS", "https://app.example.com/path", "https://app.example.com"),
        ("PORT", "http", "1 to 65535"),
        ("PORT", "0", "1 to 65535"),
        ("PORT", "65536", "1 to 65535"),
        ("PORT", "٣", "1 to 65535"),
        ("WEB_CONCURRENCY", "-1", "1 to 512"),
        ("WEB_CONCURRENCY", "2.5", "1 to 512"),
        ("LOG_FORMAT", "xml", "auto, json or text"),
        ("LOG_USERS", "yes", "hash, plain or off"),
        ("METRICS_PORT", "8000", "a port of their own"),
        ("METRICS_PORT", "off", "1 to 65535"),
        ("METRICS_HOST", "localhost", "127.0.0.1, 0.0.0.0 or ::"),
        ("HOST", "localhost", "127.0.0.1, 0.0.0.0 or ::"),
        ("HOST", "[::]", "127.0.0.1, 0.0.0.0 or ::"),
        ("PORT", "http://10.0.0.1:80", "1 to 65535"),
        ("THREADS", "tcp://10.0.0.1:80", "1 to 256"),
        ("THREADS", "auto", "1 to 256"),
        ("JWT_ISSUER", " , ", "several between commas"),
    ],
)
def test_an_invalid_value_is_refused_with_a_hint(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.read(SECRET | {name: value})
    assert str(caught.value).startswith(f"{name} ")
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    ("given", "jwks_url", "origin"),
    [
        (
            {"BETTER_AUTH_URL": "https://App.Example.com/"},
            "https://App.Example.com/api/auth/jwks",
            "https://app.example.com",
        ),
        ({"BETTER_AUTH_URL": "http://[0::1]:3000"}, "http://[0::1]:3000/api/auth/jwks", "http://[::1]:3000"),
        ({"BETTER_AUTH_URL": "https://a.example:443/auth/"}, "https://a.example:443/auth/jwks", "https://a.example"),
        ({"JWKS_URL": "https://a.example/x/jwks.json?v=1"}, "https://a.example/x/jwks.json?v=1", "https://a.example"),
        (
            {"BETTER_AUTH_URL": "https://a.example", "JWKS_URL": " http://auth:3000/jwks "},
            "http://auth:3000/jwks",
            "https://a.example",
        ),
    ],
)
def test_better_auth_url_or_jwks_url_suffices_without_a_secret(
    given: dict[str, str], jwks_url: str, origin: str
) -> None:
    settings = Settings.read(given)
    assert (settings.jwks_url, settings.auth_origin, settings.better_auth_secret) == (jwks_url, origin, None)


def test_a_secret_is_measured_in_bytes_and_keeps_its_spaces() -> None:
    for secret in ("éàüßñøçœ" + RANDOM[:16], f" {RANDOM} "):
        assert Settings.read({"BETTER_AUTH_SECRET": secret}).better_auth_secret == secret


def test_several_origins_are_accepted() -> None:
    settings = Settings.read(SECRET | {"CORS_ORIGINS": " https://a.example/ , http://b.example:8080,"})
    assert settings.cors_origins == ("https://a.example", "http://b.example:8080")
    assert Settings.read(SECRET | {"CORS_ORIGINS": "*"}).cors_origins == ("*",)


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://App.example:443/", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://localhost:03000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_is_normalized_as_browsers_do(given: str, origin: str) -> None:
    assert Settings.read(SECRET | {"CORS_ORIGINS": given}).cors_origins == (origin,)


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://App-*.Vercel.app:443/", "https://app-*.vercel.app"),
        ("http://*.local.test:3000", "http://*.local.test:3000"),
        ("https://*.a-*-b.example.com", "https://*.a-*-b.example.com"),
    ],
)
def test_an_origin_may_have_an_asterisk_in_a_label(given: str, origin: str) -> None:
    assert Settings.read(SECRET | {"CORS_ORIGINS": given}).cors_origins == (origin,)


def test_settings_do_not_show_secrets() -> None:
    with pytest.raises(SettingError, match=r"^(?!.*hidden)"):
        Settings.read(SECRET | {"JWKS_URL": "https://user:hidden@app.example.com"})
    settings = Settings.read(SECRET | {"NEON_DB_URL": "postgres://u:hidden@h/d"})
    with pytest.raises(SettingError) as caught:
        Settings.read(SECRET | {"NEON_DB_URL": "postgres://u:hidden@h:1:2/d"})
    assert "hidden" not in str(caught.value)
    assert "hidden" not in repr(settings)
    assert RANDOM not in repr(settings)


@pytest.mark.parametrize("url", ["", "postgresql://u:p@127.0.0.1:1/d"])
def test_without_embedded_postgresql_a_database_url_is_required(url: str) -> None:
    """With only requirements.txt installed, neither the PostgreSQL wheel nor psutil can be imported."""
    hide = "import sys; sys.modules.update(psutil=None); sys.modules['importlib.util'].find_spec = lambda name: None; "
    started = run(
        "python", "-c", "import importlib.util; " + hide + "import wsgi", settings=SECRET | {"NEON_DB_URL": url}
    )
    if url:
        assert started.returncode == 0, started.stderr
    else:
        assert "NEON_DB_URL is not set, and the embedded PostgreSQL is not installed" in started.stderr


def test_the_environment_wins_over_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=1111\nJWT_ISSUER='from the file'\n")
    monkeypatch.setenv("PORT", "2222")
    monkeypatch.delenv("JWT_ISSUER", raising=False)
    found = environment(tmp_path / ".env")
    assert (found["PORT"], found["JWT_ISSUER"]) == ("2222", "from the file")
    assert environment(tmp_path / "missing")["PORT"] == "2222"


def test_an_empty_variable_hides_that_of_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=1111\n")
    monkeypatch.setenv("PORT", "")
    assert environment(tmp_path / ".env")["PORT"] == ""


def test_a_secret_in_the_env_file_is_read_literally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "'s3cret-${HOME}-$(id)-#-and-more-of-it'"
    (tmp_path / ".env").write_text(f"BETTER_AUTH_SECRET={secret}\n")
    monkeypatch.delenv("BETTER_AUTH_SECRET", raising=False)
    assert environment(tmp_path / ".env")["BETTER_AUTH_SECRET"] == secret.strip("'")
    load_dotenv(tmp_path / ".env")  # The flask command does this.
    monkeypatch.setenv("BETTER_AUTH_SECRET", os.environ["BETTER_AUTH_SECRET"])
    assert environment(tmp_path / ".env")["BETTER_AUTH_SECRET"] == secret.strip("'")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_env_file_of_windows_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.delenv("PORT", raising=False)
    (tmp_path / ".env").write_bytes("PORT=1111\r\nJWT_ISSUER=Ä\r\n".encode(encoding))
    found = environment(tmp_path / ".env")
    assert (found["PORT"], found["JWT_ISSUER"]) == ("1111", "Ä")


@pytest.mark.parametrize("content", ["Ä".encode("latin-1"), "PORT=1".encode("utf-16-le"), b"\xff\xfeP"])
def test_an_env_file_that_is_not_utf8_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingError, match=r"^\.env is not text in UTF-8: save it as UTF-8$"):
        environment(tmp_path / ".env")


@pytest.mark.parametrize("line", ['CORS_ORIGINS="http://localhost:3000', "JWT_ISSUER='x", "=1", "PORT 8001"])
def test_an_env_file_with_an_invalid_line_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"# Settings\n\n{line}\nMAX_TASKS=5\n")
    with pytest.raises(SettingError, match=r"^\.env has an invalid line 3: write NAME=value, and close its quotes$"):
        environment(tmp_path / ".env")


def test_an_env_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    """Docker makes a folder for a file that is mounted and does not exist."""
    with pytest.raises(SettingError, match=r"cannot be read \(Is a directory\)$"):
        environment(tmp_path)


def test_web_concurrency_auto_is_one_worker_per_core() -> None:
    assert Settings.read(SECRET | {"WEB_CONCURRENCY": "Auto"}) == Settings.read(SECRET)


@pytest.mark.parametrize("link", ["tcp://10.0.0.1:9100", "udp://[fd00::1]:53", " tcp://10.0.0.1:80 "])
@pytest.mark.parametrize("name", ["METRICS_PORT"])
def test_a_service_link_of_kubernetes_is_ignored_and_reported(name: str, link: str) -> None:
    settings = Settings.read(SECRET | {name: link})
    assert settings == Settings.read(SECRET)
    [sentence] = list_unused(settings, {name: link})
    assert sentence.startswith(f"{name} is ignored")
    assert list_unused(settings, {name: "9100"}) == []


@pytest.mark.parametrize(
    ("url", "proxies", "unused"),
    [
        ("https://auth.example/jwks", {"HTTPS_PROXY": "http://p:1"}, "HTTPS_PROXY"),
        ("https://auth.example/jwks", {"https_proxy": "http://p:1", "HTTP_PROXY": "http://p:1"}, "HTTPS_PROXY"),
        ("https://auth.example/jwks", {"ALL_PROXY": "http://p:1"}, "ALL_PROXY"),
        ("http://auth:3000/jwks", {"HTTP_PROXY": "http://p:1"}, "HTTP_PROXY"),
        ("http://auth:3000/jwks", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://auth.example/jwks", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "db, .example"}, None),
        (None, {"HTTPS_PROXY": "http://p:1"}, None),
    ],
)
def test_a_proxy_that_is_not_used_is_reported(
    monkeypatch: pytest.MonkeyPatch, url: str | None, proxies: dict[str, str], unused: str | None
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in proxies.items():
        monkeypatch.setenv(name, value)
    found = list_unused(Settings.read(SECRET | ({"JWKS_URL": url} if url else {})), {})
    assert [sentence.split()[0] for sentence in found] == ([unused] if unused else [])


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("BETTER_AUTH_URL", "http://app.example.com"),
        ("BETTER_AUTH_URL", "http://203.0.114.1:3000"),
        ("JWKS_URL", "http://auth.example.com/jwks?key=k"),
        ("RATE_LIMIT_STORAGE", "redis://cache.example.com:6379"),
        ("NEON_DB_URL", "postgresql://u:hidden@db.example.com/d"),
        ("NEON_DB_URL", "postgresql://u:hidden@db.example.com/d?sslmode=prefer"),
        ("NEON_DB_URL", "postgresql://u:hidden@db.example.com/d?sslmode=disable"),
        ("NEON_DB_URL", "postgresql://u:hidden@10.0.0.1,db.example.com/d"),
        ("NEON_DB_URL", "postgresql://u:hidden@localhost/d?hostaddr=8.8.8.8"),
        ("NEON_DB_URL", "postgresql://u:hidden@[2606:4700::1]/d"),
    ],
)
def test_an_address_on_the_internet_without_encryption_is_reported(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    [sentence] = list_risks(Settings.read(SECRET | {name: url}))
    assert "over the Internet" in sentence
    assert "hidden" not in sentence
    assert sentence.startswith({"NEON_DB_URL": "A database URL", "JWKS_URL": "BETTER_AUTH_URL"}.get(name, name))


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("BETTER_AUTH_URL", "https://app.example.com"),
        ("BETTER_AUTH_URL", "http://localhost:3000"),
        ("BETTER_AUTH_URL", "http://frontend:3000"),
        ("BETTER_AUTH_URL", "http://[fd00::1]:3000"),
        ("JWKS_URL", "http://auth.default.svc.cluster.local/jwks"),
        ("RATE_LIMIT_STORAGE", "rediss://cache.example.com:6379"),
        ("RATE_LIMIT_STORAGE", "redis://:password@redis:6379"),
        ("NEON_DB_URL", "postgresql://u:p@db.example.com/d?sslmode=require"),
        ("NEON_DB_URL", "postgresql://u:p@db.example.com/d?ssl=true"),
        ("NEON_DB_URL", "postgresql://u:p@192.168.1.5/d?sslmode=disable"),
        ("NEON_DB_URL", "postgresql://u:p@100.64.0.1/d"),
        ("NEON_DB_URL", "postgresql://u:p@postgres.railway.internal/d"),
        ("NEON_DB_URL", "postgresql://u:p@%2Frun%2Fpostgresql.d/d"),
        ("NEON_DB_URL", "postgresql:///d"),
    ],
)
def test_encrypted_and_private_addresses_are_not_reported(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    for variable in ("PGSSLMODE", "PGHOST"):
        monkeypatch.delenv(variable, raising=False)
    assert list_risks(Settings.read(SECRET | {name: url})) == []


def test_a_misspelled_setting_is_reported() -> None:
    settings = Settings.read(SECRET)
    environ = {"CORS_ORIGIN": "x", "BETER_AUTH_URL": "x", "HOSTNAME": "x", "JWKS_URL_FILE": "x", "DATABASE_URI": "x"}
    assert list_unused(settings, environ) == [
        "BETER_AUTH_URL is no setting. Did you mean BETTER_AUTH_URL?",
        "CORS_ORIGIN is no setting. Did you mean CORS_ORIGINS?",
        "DATABASE_URI is no setting. Did you mean DATABASE_URL?",
    ]


def test_a_database_url_that_is_not_used_is_reported() -> None:
    settings, urls = Settings.read(SECRET), {"NEON_DB_URL": "postgresql:///a", "DATABASE_URL": "postgresql:///b"}
    assert list_unused(settings, urls) == ["DATABASE_URL is not used, because NEON_DB_URL is set."]
    assert list_unused(settings, urls | {"DATABASE_URL": "postgresql:///a"}) == []


def test_several_issuers_and_audiences_are_accepted() -> None:
    given = {"JWT_ISSUER": " https://a.example , https://b.example,", "JWT_AUDIENCE": "x"}
    settings = Settings.read(SECRET | given)
    assert (settings.jwt_issuer, settings.jwt_audience) == (("https://a.example", "https://b.example"), ("x",))


PLACEHOLDERS = [
    "your-secret-key-here-replace-in-production",
    "your-super-secret-jwt-key-min-32-chars-long",
    "yourSuperSecretKeyThatIsAtLeast32CharactersLong",
    "your_key_for_the_todo_app_0000000000",
    "change-me-000000000000000000000000",
    "CHANGE_ME_XXXXXXXXXXXXXXXXXXXXXXXX",
    "changeme12345678901234567890123456",
    "replace-with-at-least-32-random-characters",
    "REPLACE_WITH_GENERATED_VALUE_000000",
    "<secret>xxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "<paste the output of openssl rand here>",
    "${BETTER_AUTH_SECRET_OF_YOUR_VAULT}",
    "[your secret, at least 32 characters]",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "00000000000000000000000000000000",
    "12345678901234567890123456789012",
    "0123456789abcdef0123456789abcdef",
    "abcdefghijklmnopqrstuvwxyz123456",
    "secretsecretsecretsecretsecretsecret",
    "secret-123456789012345678901234567",
    "my-super-secret-jwt-key-for-a-todo-app",
    "this-is-a-very-long-secret-key-for-dev",
    "docker-build-placeholder-min-32-chars",
    "a-string-secret-at-least-256-bits-long",
    "example-secret-key-do-not-use-in-production",
    "todo-app-secret-key-todo-app-secret-key",
    "shared-secret-between-frontend-and-backend",
    "hackathon-todo-jwt-secret-key-2025-phase-2",
    "generate-with-openssl-rand-base64-32-please",
    "use-openssl-rand-base64-32-to-generate-this",
    "paste-the-output-of-openssl-rand-here-1234",
    "please-set-a-real-secret-in-this-env-file",
    "dev-secret-do-not-use-in-production-1234",
    "not-a-real-secret-not-a-real-secret-1234",
    "this-is-a-secret-this-is-a-secret-12345",
    "must-match-frontend-better-auth-secret-32ch",
    "qwertyuiopasdfghjklzxcvbnmqwertyuiop",
    "change-me-" + "x" * 60 + "-Please!",
    "tu-clave-secreta-aqui-minimo-32-caracteres",
    "dein-geheimer-schluessel-mindestens-32-zeichen",
    "votre-cle-secrete-ici-minimum-32-caracteres",
    "sua-chave-secreta-aqui-minimo-32-caracteres",
    "buraya-en-az-32-karakterlik-gizli-anahtar",
    "ваш-секретный-ключ-замените-его",
    "y0ur-s3cr3t-k3y-h3re-ch4nge-m3-pl34se",
    "请替换为至少三十二位的随机密钥字符串",
    "あなたの秘密鍵をここに入力してください",
    "여기에-비밀키를-입력하세요-32자-이상-필수",
    "اكتب-المفتاح-السري-هنا-32-حرفا",
    "wpisz-tutaj-swoj-tajny-klucz-min-32-znaki",
    "inserisci-qui-la-tua-chiave-segreta-lunga",
    "vul-hier-je-geheime-sleutel-in-minimaal-32",
    "$(openssl rand -base64 32)aaaaaaaaaaaaaaa",
    "`openssl rand -base64 32 | tr -d =`",
]


@pytest.mark.parametrize("secret", PLACEHOLDERS)
def test_a_placeholder_as_the_secret_is_refused(secret: str) -> None:
    with pytest.raises(SettingError, match=r"^BETTER_AUTH_SECRET is a placeholder that anyone can guess"):
        Settings.read({"BETTER_AUTH_SECRET": secret})


@pytest.mark.parametrize(
    ("characters", "length"),
    [
        ("0123456789abcdef", 32),
        ("0123456789", 40),
        ("abcdefghijklmnopqrstuvwxyz234567", 32),
        (string.ascii_lowercase, 32),
        (string.ascii_letters + string.digits + "-_", 43),
        (string.ascii_letters + string.digits + string.punctuation, 32),
    ],
)
def test_a_random_secret_is_accepted(characters: str, length: int) -> None:
    random = Random(20261129)
    for _ in range(2000):
        secret = "".join(random.choices(characters, k=length))
        assert Settings.read({"BETTER_AUTH_SECRET": secret}).better_auth_secret == secret


@pytest.mark.parametrize(
    "secret",
    [
        "my-secret-k8J2nQ5xV9bT1mW7pL4sZ6dF3gH0",
        "correct horse battery staple plus two",
        "a32a8fbc-e4a3-4e80-a117-ea78ab8fbaf7",
        "my-app-secret-qwmzkdhgyxbvtnplrjcsfeuaioqwpzmx",
        "сорок тысяч обезьян едят банан",
    ],
)
def test_a_secret_with_words_and_a_random_part_is_accepted(secret: str) -> None:
    assert Settings.read({"BETTER_AUTH_SECRET": secret}).better_auth_secret == secret


FILES = ("BETTER_AUTH_SECRET", "NEON_DB_URL", "DATABASE_URL", "JWKS_URL", "RATE_LIMIT_STORAGE")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_settings_with_secrets_can_come_from_a_file(tmp_path: Path, name: str, end: str) -> None:
    values = {
        "BETTER_AUTH_SECRET": f" {RANDOM} with spaces ",
        "JWKS_URL": "https://app.example.com/jwks?key=k",
        "RATE_LIMIT_STORAGE": "redis://:password@redis:6379",
    }
    value = values.get(name, "postgresql://u:p@h/d")
    (tmp_path / "secret").write_bytes((value + end).encode())
    others = {} if name in {"BETTER_AUTH_SECRET", "JWKS_URL"} else SECRET
    from_file = Settings.read(others | {f"{name}_FILE": str(tmp_path / "secret")})
    assert from_file == Settings.read(others | {name: value})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "names a file that cannot be read (No such file or directory)"),
        (b"\n", "names a file that is empty"),
        (b"\xff" * 40, "names a file that is not text in UTF-8"),
    ],
)
def test_an_unusable_file_is_refused_with_its_variable(tmp_path: Path, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(SettingError) as caught:
        Settings.read({"BETTER_AUTH_SECRET_FILE": str(tmp_path / "secret")})
    assert str(caught.value) == f"BETTER_AUTH_SECRET_FILE {problem}"


def test_a_secret_and_its_file_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="BETTER_AUTH_SECRET_FILE is set, and so is BETTER_AUTH_SECRET"):
        Settings.read(SECRET | {"BETTER_AUTH_SECRET_FILE": str(tmp_path / "secret")})
