// The device's memory: global buffers with guard bytes between them, one block's shared memory, and
// a shadow of both that knows what was allocated, written, and by whom.
//
// Who may see whose writes: an epoch begins with every block and at every __syncthreads. Two
// threads may touch the same bytes, one of them writing, only in different epochs of one block, or
// with a __syncwarp between if they are of one warp. Different blocks never may, within a launch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace fc::emulator {

enum class AccessKind { kRead, kWrite, kAtomic };

// Every plain access of a kernel comes here; pc is the return address of the call that made it.
void access(const void* p, size_t bytes, AccessKind kind, const void* pc);

// ---- global memory

constexpr size_t kArenaBytes = size_t{1} << 30;

enum class Content { kInput, kOutput, kInOut, kWorkspace };

// A buffer of device memory, `offset` bytes behind a 256-byte boundary, with guard bytes around it;
// std::bad_alloc if the arena is full. An output is poisoned (NaN) and counts as never written.
void* allocate(size_t bytes, Content content, const char* name, size_t offset = 0);
// Also let kernels write into a buffer that was an input.
void make_writable(void* buffer);
// KernelError if a byte of the buffer was written by no kernel of this function.
void check_written(const void* buffer, const std::string& function);
// What the host does between kernels: the buffer's bytes become 0, and count as written.
void fill_zero(void* p, size_t bytes);
void free_all();
// Before the clock begins anew.
void forget_epochs();

// ---- shared memory of the block that runs

char* shared_memory();
void begin_shared(size_t bytes);  // of a new block: poisoned, never written

// A cp.async: the bytes count as written, but reading them before land() is an error.
void begin_copy(void* to, const void* from, size_t bytes, size_t valid, const void* pc);
void land_copy(void* to, const void* data, size_t bytes);

}  // namespace fc::emulator
