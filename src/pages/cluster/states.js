// The names of the states of a service.

export const STATES = {
  leader: "leader",
  taking_office: "taking office",
  in_sync: "in sync",
  catching_up: "catching up",
  in_conflict: "in conflict",
  up: "up",
  controller: "makes the views",
  silent: "does not answer",
  standby: "standby",
  paused: "paused",
  down: "down",
};
