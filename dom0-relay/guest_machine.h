/*
 * What happens to one vTPM device on this host, as a pure function of state and event.
 *
 *   PREPARING --seed and stub domain--> HANDOFF --ready--> SERVING --close--> CLOSING --closed--> CLEANING --> GONE
 *       |                                  |                ^ |                                      ^
 *       |                 ADOPTING --hello-|----------------+ |                                      |
 *       +------------- failure ------------+------------------|--> FAILED --close--------------------+
 *                                                             |                                      |
 *                                               its stub domain's death                              |
 *                                                             v                                      |
 *                                                         REVIVING --another stub domain--> STANDIN -+
 *
 * A guest that sleeps (xl save, xl migrate) and one that was resumed here:
 *
 *   SERVING --asleep--> SUSPENDING --sealed, on record--> FROZEN --close--> CLOSING          gone to wherever its image goes
 *      ^                                                    |
 *      +------ lease is ours again ------- RESUMING <-awake-+                                it runs on
 *                                             |
 *                                             +-- another host has it --> FENCED
 *
 *   PREPARING --reservation--> HANDOFF --ready--> RESERVED --it runs--> COMMITTING --lease is ours--> SERVING
 *
 * ADOPTING is where a relay that was restarted begins with what served before: the guest runs all the while.
 * A guest whose stub domain died under it has lost its PCRs, and no other TPM is its own. It gets a stand-in, which
 * says so to every command, until the guest itself is started again (standin.h); lease and state stay as they are.
 *
 * "Close" is libxl taking the device away: state 5 in the control directory, or the directory gone. A device whose
 * vTPM can't be had rests in FAILED until then; while libxl still waits for it, it is told to give the guest up (REFUSE).
 * Nobody hears 6 before the stub domain is gone and the lease given back, or a deadline has passed.
 */
#ifndef DOM0_RELAY_GUEST_MACHINE_H
#define DOM0_RELAY_GUEST_MACHINE_H

#include <stdbool.h>

enum guest_state {
	GUEST_PREPARING, /* identity, then stub domain and seed side by side; deadline: libxl's patience */
	GUEST_HANDOFF,	 /* the stub domain has the seed and derives; same deadline */
	GUEST_ADOPTING,	 /* the guest runs since before our start, its stub domain has not called yet; deadline: of one try to reach it */
	GUEST_SERVING,	 /* the guest runs; no deadline */
	GUEST_RESERVED,	 /* a resumed guest may run: its driver is met, nothing is served before COMMIT; no deadline */
	GUEST_COMMITTING, /* it does: the KMC is asked for the lease; no deadline */
	GUEST_SUSPENDING, /* the guest sleeps, the stub domain seals; no deadline */
	GUEST_SEALING,	 /* the same, and libxl takes the device away; deadline: libxl's patience */
	GUEST_FROZEN,	 /* sealed and on record, and on its way to the KMC or there; no deadline */
	GUEST_RESUMING,	 /* the guest runs on: it gets a new mark, then the KMC is asked for the lease; no deadline */
	GUEST_FENCED,	 /* its vTPM is another host's: it stays frozen; no deadline */
	GUEST_REVIVING,	 /* the guest runs, its stub domain is dead; deadline: of the pause before the next try to build a stand-in */
	GUEST_STANDIN,	 /* the guest runs and hears from a stand-in that its TPM is gone; no deadline */
	GUEST_CLOSING,	 /* the stub domain brings its TPM to rest; deadline: libxl's patience */
	GUEST_CLEANING,	 /* stub domain and lease go; same deadline */
	GUEST_FAILED,	 /* no vTPM; libxl has not taken the device away yet; no deadline */
	GUEST_GONE,	 /* forget it */
	GUEST_STATES
};

enum guest_event {
	GEV_IDENTIFIED,	    /* the hypervisor told who the guest is: it boots */
	GEV_RESTORED,	    /* the same: it is being restored from an image */
	GEV_MARKED,	    /* and by what its next image will be known */
	GEV_STUB,	    /* the stub domain said HELLO, and is what it should be */
	GEV_BUILD_FAILED,   /* there is no stub domain (any more) */
	GEV_SEED,	    /* the KMC opened: we hold seed and lease */
	GEV_KEPT,	    /* and the lease is on record, should we be restarted */
	GEV_OPEN_FAILED,    /* the KMC refused or could not be asked: we hold no lease */
	GEV_READY,	    /* the stub domain has taken the seed */
	GEV_STANDS_IN,	    /* the stub domain said HELLO, and is the stand-in of an earlier relay */
	GEV_STRANGER,	    /* the domain is not the guest that an earlier relay served */
	GEV_BROKEN,	    /* anything else that makes serving impossible, the stub domain's death included */
	GEV_STUB_HELD,	    /* adopting: the stub domain called and serves nothing, as for a guest that sleeps */
	GEV_CONNECTED,	    /* the guest's driver is there: the guest runs */
	GEV_ASLEEP,	    /* it is suspended */
	GEV_AWAKE,	    /* it is not (any more) */
	GEV_FROZEN,	    /* all of its TPM is sealed and on record */
	GEV_GRANTED,	    /* the lease is ours (again), under an epoch that is on record */
	GEV_FENCED,	    /* it is another's */
	GEV_CLOSE,	    /* libxl takes the device away */
	GEV_CLOSED,	    /* the stub domain's TPM is at rest */
	GEV_STUB_DESTROYED, /* and its domain gone */
	GEV_NOT_DESTROYED,  /* the builder tried, in vain */
	GEV_RELEASED,	    /* the lease is given back */
	GEV_DEADLINE,
	GUEST_EVENTS
};

/* What the caller must do, in the order of the bits. */
enum guest_action {
	GACT_IDENTIFY = 1 << 0,	  /* ask the hypervisor */
	GACT_BUILD = 1 << 1,	  /* have a stub domain made */
	GACT_OPEN = 1 << 2,	  /* open at the KMC */
	GACT_HANDOFF = 1 << 3,	  /* send the seed to the stub domain */
	GACT_SERVE = 1 << 4,	  /* re-home the device, tell the stub domain, write state 2 */
	GACT_CLOSE_STUB = 1 << 5, /* ask the stub domain for an orderly end */
	GACT_ABANDON = 1 << 6,	  /* forget the open: should it still succeed, its lease goes back */
	GACT_DESTROY = 1 << 7,	  /* destroy the stub domain */
	GACT_RELEASE = 1 << 8,	  /* give the lease back */
	GACT_ANSWER = 1 << 9,	  /* write state 6 if the control directory is still there */
	GACT_ADOPT = 1 << 10,	  /* tell the builder to keep the stub domain, and meet it */
	GACT_MARK = 1 << 11,	  /* give the domain a new mark */
	GACT_RESERVE = 1 << 12,	  /* ask the KMC for what was suspended with the image */
	GACT_FREEZE = 1 << 13,	  /* have all of the TPM sealed, put it on record and tell the KMC */
	GACT_RESUME = 1 << 14,	  /* ask for the lease again */
	GACT_COMMIT = 1 << 15,	  /* make the reservation a lease */
	GACT_THAW = 1 << 16,	  /* have the stub domain serve */
	GACT_REBUILD = 1 << 17,	  /* have a stub domain made that takes the place and the number of the dead one */
	GACT_STAND_IN = 1 << 18,  /* tell it to stand in */
	GACT_REFUSE = 1 << 19,	  /* libxl need not wait for state 2 any longer */
};

/* Zero-initialised, then guest_start(). */
struct guest_machine {
	enum guest_state state;
	bool has_seed, has_stub; /* has_seed: and its lease is on record */
	bool stub_exists;   /* a domain is there or on its way */
	bool open_pending;  /* the KMC was asked and has not answered */
	bool lease_held;    /* the KMC counts us as holder, as far as we know, or has a reservation of ours */
	bool ready;	    /* the stub domain has taken the seed */
	bool marked;	    /* the domain has a mark that no image has */
	bool restored;	    /* from an image, and not committed yet */
	bool asleep;	    /* the guest is */
	bool destroying;    /* the stub domain is being destroyed */
	unsigned int tries; /* to get a stand-in, that failed or died */
	unsigned int waits; /* for the present one to call */
};

/** guest_start() - a new device. Return: actions. */
unsigned int guest_start(struct guest_machine *g);

/** guest_adopt() - a device that an earlier relay served, or (@reserved) was to serve once its guest runs. Return: actions. */
unsigned int guest_adopt(struct guest_machine *g, bool reserved);

/** guest_step() - take one event; an event that means nothing in this state changes nothing. Return: actions. */
unsigned int guest_step(struct guest_machine *g, enum guest_event event);

/** guest_deadline_ms() - how long a device may stay in @state, or 0 for as long as it likes. */
unsigned int guest_deadline_ms(enum guest_state state);

const char *guest_state_text(enum guest_state state);

#endif
