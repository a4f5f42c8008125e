// A call on memory that the host does not see is done in pieces, in host memory of bounded size: what comes in is copied there,
// and what comes out is copied back. All ranks cut alike.
#pragma once

#include <vector>

#include "runtime/request.h"

namespace tutti {

// Bytes of a piece, all blocks together; of a message between two ranks.
inline constexpr std::uint64_t kHostPieceBytes = std::uint64_t{2} << 20, kHostMessageBytes = std::uint64_t{1} << 20;

struct HostPiece {
  struct Copy {
    std::uint64_t user = 0;    // bytes from where the call's input or output begins
    std::uint64_t staged = 0;  // bytes from where the staging memory begins
    std::uint64_t bytes = 0;
  };
  Call call;                            // as the piece, but for its buffers; refers to what the whole call refers to
  std::uint64_t input = 0, output = 0;  // where they are in the staging memory
  bool has_input = false, has_output = false;
  std::uint64_t staging_bytes = 0;
  std::vector<Copy> before = {}, after = {};
};

// How many there are: at least one, as ranks that have nothing to say compare what they are in, too.
[[nodiscard]] std::uint64_t host_pieces(const Request& request, Rank ranks);
// Piece `index` of `pieces`: of host_pieces(), or the only one.
[[nodiscard]] HostPiece host_piece(const Call& call, const Request& request, std::uint64_t index, std::uint64_t pieces, Rank me,
                                   Rank ranks);

}  // namespace tutti
