"""The SQL of the ends that are not reported yet. A trigger notes each end in the same step."""

CREATE = (
    """
CREATE TABLE IF NOT EXISTS unreported_jobs (id TEXT PRIMARY KEY, ended_at REAL NOT NULL)
""",
    """
CREATE TRIGGER IF NOT EXISTS note_end AFTER UPDATE OF ended_at ON jobs
WHEN OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL
BEGIN INSERT OR REPLACE INTO unreported_jobs VALUES (NEW.id, NEW.ended_at); END
""",
)
IDS = "SELECT id FROM unreported_jobs WHERE ended_at <= ? ORDER BY ended_at LIMIT ?"
MARK = "DELETE FROM unreported_jobs WHERE id = ?"
EXPIRE = "DELETE FROM unreported_jobs WHERE ended_at <= ?"
