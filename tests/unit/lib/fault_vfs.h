/* A SQLite VFS for tests: the usual one underneath, with faults on chosen calls, and a record of what was written.
 *
 * Faults: the n-th call of the chosen kind fails, once or from then on. Record: every write, truncation, sync and
 * removal, so that the files can be rebuilt as a power cut would have left them: what was synced is there, of the rest
 * any part of any sector-sized piece.
 * Threads: any; one mutex. fault_vfs_install() makes it the default of the process. */
#ifndef SELVEDGE_TEST_FAULT_VFS_H
#define SELVEDGE_TEST_FAULT_VFS_H

#include "core/base/defs.h"

enum fault_kind { FAULT_NONE, FAULT_DISK_FULL /* write */, FAULT_WRITE, FAULT_SYNC, FAULT_READ, FAULT_TRUNCATE };

void fault_vfs_install(void);
/* Calls are counted from 1 from here on. `nth` 0 only counts. */
void fault_vfs_set(enum fault_kind kind, unsigned nth, bool is_lasting);
unsigned fault_vfs_calls(void); /* of the chosen kind, since */
bool fault_vfs_has_struck(void);

/* ---------- power cuts ---------- */

void fault_vfs_record(bool is_on); /* on: forgets what was recorded before */
size_t fault_vfs_num_steps(void);
enum power_cut { CUT_LOSES_ALL, CUT_KEEPS_ALL, CUT_TEARS /* by `seed` */ };
/* Writes the files as they may be found after a cut right after `step`, into `folder`, under their base names. */
void fault_vfs_rebuild(size_t step, enum power_cut cut, uint64_t seed, const char *folder);

#endif
