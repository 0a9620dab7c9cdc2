// Attention over a paged KV store: online softmax (FlashAttention, arXiv 2205.14135) over blocks of 32 tokens in
// sequence order, afresh in each span of kSpanTokens positions, or one softmax of a whole span where an instruction set
// has it; what the spans came to is joined in order. So the spans of one long sequence can be worked on by all threads
// at once (FlashDecoding), and a query row's arithmetic depends on its own position and its sequence's keys only, never
// on the rows beside it or on who does what.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "kernels/attention_kernels.h"
#include "kernels/kv_block.h"

namespace retort {

struct AttentionSequence {
  int64_t first_row;  // of its query rows in q and out
  int64_t num_rows;
  int64_t first_position;                // position of the first query row; row r sees positions 0 … first_position + r
  std::span<const int32_t> block_table;  // block of positions 32 i … 32 i + 31, at least as many as needed
};

class Attention {
 public:
  Attention(Isa isa, ThreadPool& pool);

  // Writes the rows' new keys and values to their blocks. k, v: [num_rows, num_kv_heads * head_dim]
  void store(const float* k, const float* v, std::span<const AttentionSequence> sequences, const KvLayerView& kv);
  // q, out: [num_rows, num_heads * head_dim]. Scores are scaled by 1/sqrt(head_dim). Keys of these rows must be stored
  // already.
  void run(const float* q, int num_heads, std::span<const AttentionSequence> sequences, const KvLayerView& kv,
           float* out);
  size_t num_pieces() const { return pieces_.size(); }  // that the last run() was shared out in

 private:
  // Some rows of one sequence for the query heads of one KV head.
  struct Tile {
    const AttentionSequence* sequence;
    int kv_head;
    int64_t first_row, num_rows;  // within the sequence
    int64_t states = -1;          // in states_, of its spans, where they are pieces of their own

    int64_t first_position() const { return sequence->first_position + first_row; }
    int64_t num_blocks() const { return (first_position() + num_rows - 1) / kBlockTokens + 1; }
    int64_t num_spans() const { return (first_position() + num_rows - 1) / kSpanTokens + 1; }
    int64_t first_row_in_span(int64_t span) const;  // rows before it see nothing of the span
  };
  // What one thread does at a time: a tile, or a span of it.
  struct Piece {
    size_t tile;
    int64_t span = -1;
  };
  struct Call;
  struct Scratch;

  void cut_into_tiles(std::span<const AttentionSequence> sequences, int num_kv_heads, int64_t rows_per_tile);
  void cut_into_pieces(const Call& call);
  void attend(const Call& call, const Piece& piece, const Scratch& scratch, size_t& tile_read);
  void read_queries(const Call& call, const Tile& tile, const Scratch& scratch) const;
  void code_query(const Call& call, const Tile& tile, const float* query, int64_t i, const Scratch& scratch) const;
  void visit_span(const Call& call, const Tile& tile, int64_t span, const Scratch& scratch,
                  const AttentionState& state) const;
  void visit_whole_span(const Call& call, const Tile& tile, int64_t span, const AttentionState& state) const;
  void visit_block(const Call& call, const Tile& tile, int64_t block_idx, const Scratch& scratch,
                   const AttentionState& state) const;
  void join_span(const Call& call, const Tile& tile, int64_t span, const AttentionState& state,
                 const AttentionState& of_span) const;
  AttentionState state_of_span(const Call& call, const Tile& tile, int64_t span);
  void join_spans(const Call& call, const Tile& tile);
  void write(const Call& call, const Tile& tile, const AttentionState& state) const;

  AttentionKernels kernels_;
  ThreadPool* pool_;
  std::vector<Tile> tiles_;
  std::vector<Piece> pieces_;
  std::vector<float> states_;  // of the spans of tiles that are split
  std::vector<float> floats_;  // of Scratch, one part a thread
  std::vector<int32_t> ints_;
  std::vector<size_t> tiles_read_;  // by thread: whose queries its Scratch holds
};

}  // namespace retort
