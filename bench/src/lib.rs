//! The measurements: threads against processes, pools, queues and Python beside them.
//! None is written yet.
