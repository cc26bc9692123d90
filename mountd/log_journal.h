#ifndef FIRN_MOUNTD_LOG_JOURNAL_H_
#define FIRN_MOUNTD_LOG_JOURNAL_H_

#include <spdlog/common.h>

namespace firn {

// Was firnd built with libsystemd?
bool HasJournalSupport();

// Writes to systemd's journal, each field of a line as the journal's field FIRN_NAME. Throws
// kSystem where no journal listens: libsystemd would drop every line without a word.
spdlog::sink_ptr MakeJournalSink();

}  // namespace firn

#endif  // FIRN_MOUNTD_LOG_JOURNAL_H_
