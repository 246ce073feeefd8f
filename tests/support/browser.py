"""A headless Chromium of Debian's, driven by Selenium, which notes what a page complains of."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support import cli
from tests.support.server import ROOT, eventually

AXE = "axe-core@4.14.1"  # checks pages for faults of accessibility
DESKTOP = (1280, 900)
PHONE = (390, 844)
CENTRE = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})"


class Browser:
    """A browser with a profile of its own in *folder*; it has to be closed."""

    def __init__(self, folder: Path):
        options = ChromeOptions()
        for argument in (
            "--headless=new",
            "--no-sandbox",  # for root, as CI is; the only pages are the gateway's
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        options.binary_location = _program("chromium")
        self.driver = Chrome(options, Service(_program("chromedriver")))

    def close(self) -> None:
        self.driver.quit()

    def look(self, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> None:
        """Show pages from now on in a window of this *size* and in this theme.

        Nothing moves, as colours that change slowly have too little contrast on their way.
        """
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
        self._command("Emulation.setDeviceMetricsOverride", mobile=size == PHONE, **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self._command("Emulation.setEmulatedMedia", features=[scheme, still])

    def open(self, url: str) -> None:
        self.driver.get(url)

    @property
    def url(self) -> str:
        return self.driver.current_url

    def find(self, css: str) -> WebElement:
        """Return the first element that matches *css*, once there is one."""
        found = eventually(lambda: self.driver.find_elements(By.CSS_SELECTOR, css))
        assert found, f"nothing on {self.url} matches {css}: {self.text()}"
        element: WebElement = found[0]
        return element

    def has(self, css: str) -> bool:
        return bool(self.driver.find_elements(By.CSS_SELECTOR, css))

    def text(self, css: str = "body") -> str:
        """Return the text that the first element that matches *css* shows, or "" without one."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(self.run(script, css))

    def shows(self, *texts: str) -> bool:
        """Wait until the page shows all *texts*, and say whether it does."""
        return bool(eventually(lambda: all(text in self.text() for text in texts)))

    def press(self, text: str) -> None:
        """Press the button, or follow the link, with this *text*."""
        pressed = eventually(lambda: self._press(text))
        assert pressed, f"{self.url} has nothing to press with {text!r}: {self.text()}"

    def confirm(self) -> None:
        """Agree to what the page asks."""
        self.driver.switch_to.alert.accept()

    def fill(self, css: str, text: str) -> None:
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def strike(self, *keys: str) -> None:
        """Strike keys one after the other, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def wait(self, holds: Callable[[], Any]) -> Any:
        return eventually(holds)

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script in the page returns, or what its promise resolves to."""
        return self.driver.execute_script(script, *arguments)

    def cookies(self) -> list[dict[str, Any]]:
        return list(self.driver.get_cookies())

    def forget(self, origin: str) -> None:
        """Forget all that a site has stored."""
        self._command("Network.clearBrowserCookies")
        self._command("Storage.clearDataForOrigin", origin=origin, storageTypes="all")

    def set_cookie(self, cookie: dict[str, Any]) -> None:
        self.driver.add_cookie(cookie)

    def complaints(self) -> list[str]:
        """Return what the console has had of errors and of broken policies since the last call."""
        entries = self.driver.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def faults(self, axe: str) -> list[str]:
        """Return the serious faults of accessibility that *axe*, the program's text, finds."""
        self.run(axe)
        check = "return axe.run().then(report => report.violations)"
        return [
            f"{fault['id']}: {node['html'][:200]}"
            for fault in self.run(check)
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]

    def save(self, path: Path) -> None:
        """Save a picture of the whole page."""
        size = self._command("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self._command("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(data["data"]))

    def _command(self, name: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, parameters)

    def _press(self, text: str) -> bool:
        """Press what has this *text*, unless the page replaces it meanwhile; say whether it did."""
        with suppress(StaleElementReferenceException):
            for element in self.driver.find_elements(By.CSS_SELECTOR, "a, button, summary"):
                if element.is_displayed() and element.text.strip() == text:
                    # Selenium would leave it at the edge, where another element may cover it.
                    self.driver.execute_script(CENTRE, element)
                    element.click()
                    return True
        return False


def axe(folder: Path = ROOT / ".envs" / "axe") -> str:
    """Return the text of axe, which is installed into *folder* unless it is there."""
    file = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), AXE]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=100)
        except (OSError, subprocess.SubprocessError) as error:
            cli.missing(f"{AXE} to be had from npm ({error})")
    return file.read_text()


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        cli.missing(f"{name} program; on Debian: apt-get install chromium chromium-driver")
    return str(path)
