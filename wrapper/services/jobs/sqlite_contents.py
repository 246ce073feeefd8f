"""The SQL of the contents of jobs, which only few of the steps read.

They have a table of their own, as each change of a job would write them again. Triggers drop a
request in the step that ends its job, and a content with its job.
"""

CREATE = (
    """
CREATE TABLE IF NOT EXISTS job_contents (
    id TEXT PRIMARY KEY, summary BLOB NOT NULL, request BLOB
)
""",
    """
CREATE TRIGGER IF NOT EXISTS drop_request AFTER UPDATE OF ended_at ON jobs
WHEN OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL
BEGIN UPDATE job_contents SET request = NULL WHERE id = NEW.id; END
""",
    """
CREATE TRIGGER IF NOT EXISTS delete_content AFTER DELETE ON jobs
BEGIN DELETE FROM job_contents WHERE id = OLD.id; END
""",
)
ADD = "INSERT INTO job_contents VALUES (?, ?, ?)"
READ = "SELECT summary, request FROM job_contents WHERE id = ?"
SUMMARY = "SELECT summary FROM job_contents WHERE id = ?"
REQUEST = "SELECT request FROM job_contents WHERE id = ?"
# How many jobs of an owner are kept, and how many bytes their contents have.
KEPT_OF = """
SELECT count(*), ifnull(sum(length(summary) + ifnull(length(request), 0)), 0)
FROM jobs JOIN job_contents USING (id) WHERE owner = ?
"""
