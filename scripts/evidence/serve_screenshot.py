"""Picture the page of a served model, as it is on a computer and, in the dark, on a phone: docs/serve.png.

    python scripts/evidence/serve_screenshot.py RUN IMAGE... --out docs/serve.png

Needs Chromium (Debian: apt-get install chromium) and the extra `test`.
"""

import argparse
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from serve_load import serving

DESKTOP, PHONE = (1020, 800), (390, 800)  # width and height in pixels
_GAP = 24  # pixels between the two pictures
_BETWEEN = (120, 126, 134)  # RGB of the gap


def main() -> None:
    """Serve, picture, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a completed run")
    parser.add_argument("images", type=Path, nargs="+", help="images that are dropped on the page")
    parser.add_argument("--out", type=Path, default=Path("docs/serve.png"))
    given = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("error: no chromium on the PATH; install it (Debian: apt-get install chromium)")
    with serving(given.run) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        desktop = picture(browser, address, given.images, size=DESKTOP, scheme="light")
        phone = picture(browser, address, given.images[-1:], size=PHONE, scheme="dark")
        browser.close()
    both = Image.new("RGB", (desktop.width + _GAP + phone.width, desktop.height), _BETWEEN)
    both.paste(desktop, (0, 0))
    both.paste(phone, (desktop.width + _GAP, 0))
    both.quantize(256).save(given.out, optimize=True)
    print(given.out)


def picture(browser: Browser, address: str, images: list[Path], *, size: tuple[int, int], scheme: str) -> Image.Image:
    """The page once all images are answered, and the heatmap of the first is shown where there is one."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#about:has-text('classes')")
    page.set_input_files("#pick", [str(image) for image in images])
    page.wait_for_selector(f"#answers :is(.best, .error) >> nth={len(images) - 1}")
    if button := page.query_selector("button.explain"):
        button.click()
        page.wait_for_selector("button.explain:text-is('The image')")
    page.wait_for_timeout(300)  # milliseconds, for the picture to be decoded
    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    context.close()
    return taken


if __name__ == "__main__":
    main()
