"""A task that is acknowledged late, and whose result is kept."""
import os

from celery import Celery

URL = os.environ["QUEUE_URL"]
app = Celery("celery_tasks", broker=URL, backend=URL)
app.conf.task_acks_late = True
app.conf.broker_connection_retry_on_startup = True


@app.task
def no_task(number):
    return number + 1
