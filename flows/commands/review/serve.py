"""`assay review serve`: the page on which people answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..options import Flag, LakeUri, open_lake


def serve(
    *,
    lake: LakeUri = None,
    run: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8787,
    token_file: Path | None = None,
    allow_host: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    certfile: Path | None = None,
    keyfile: Path | None = None,
    https: Annotated[bool, Flag] = False,
    no_store: Annotated[bool, Flag, Parameter("--no-store")] = False,
) -> None:
    """Serve the review page: a queue of images that people answer by keys.

    On the loopback address there is no login. On any other address there is one by a token: that
    of ASSAY_REVIEW_TOKEN, of --token-file, or of a file that is created and named here.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        run: Id of a run, or latest, at which the page opens.
        host: Address on which the page is served.
        port: Port on which the page is served; 0 for a free one.
        token_file: File with the token of the login, 16 characters or more.
        allow_host: Further name by which browsers may address the server, such as that of a proxy.
        certfile: Certificate in PEM format, for https.
        keyfile: Private key of the certificate, where it is in another file.
        https: Whether a proxy in front of the server speaks https with the browsers.
        no_store: Whether browsers may keep nothing of the images, not even until they are closed.
    """
    from ....tasks.runs.run_record import find_run
    from ...process.signals import ctrl_c_left_to_asyncio
    from ...review_page.kept_secrets import signing_key, token_of
    from ...review_page.serve import address_of, check_certificate, listen, serve_page
    from ...review_page.settings import PageSettings, is_loopback

    opened = open_lake(lake)
    path = "" if run is None else f"runs/{find_run(opened, run).run_id}"
    check_certificate(certfile, keyfile)
    is_https = https or certfile is not None
    token, place = token_of(token_file, create=not is_loopback(host))
    with listen(host, port) as listener:
        settings = PageSettings(
            secret=signing_key(),
            host=host,
            port=listener.getsockname()[1],
            token=token,
            allowed_hosts=allow_host,
            is_https=is_https,
            no_store=no_store,
        )
        address = address_of(listener, is_https=certfile is not None)
        print(f"review page  {address}{path}")  # noqa: T201
        print(f"lake         {opened.uri}")  # noqa: T201
        if token is not None:
            print(f"token        in {place}")  # noqa: T201
        print("Ctrl-C ends it; answers are on disk when the page says so", flush=True)  # noqa: T201
        with ctrl_c_left_to_asyncio():
            serve_page(opened, settings, listener, certificate=certfile, private_key=keyfile)
