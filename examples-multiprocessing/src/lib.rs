//! The multiprocessing section: processes, locks, queues, shared memory, pools and
//! managers. Its listings, and the process library under them, are not written yet.
