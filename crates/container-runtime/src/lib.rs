mod cgroups;
mod capabilities;
mod seccomp;
mod sys;
mod user;
mod wire;
