using System;
using System.Buffers;
using System.Collections.Concurrent;
using System.Threading;

namespace Ancm.Backend.Links;

/// <summary>
/// Blocks of one size, as the server expects of a transport: it asks for "any" memory and means a block.
/// </summary>
internal sealed class BlockPool : MemoryPool<byte>
{
    private const int BlockLength = 4096;

    /// <summary>Blocks that are kept while nobody uses them: 16 MiB.</summary>
    private const int MaxFree = 4096;

    private readonly ConcurrentQueue<Block> _free = new();
    private int _count;

    public override int MaxBufferSize => BlockLength;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, BlockLength);
        if (_free.TryDequeue(out var block))
        {
            Interlocked.Decrement(ref _count);
        }
        else
        {
            block = new Block(this);
        }

        block.IsRented = true;
        return block;
    }

    protected override void Dispose(bool disposing)
    {
    }

    private void Return(Block block)
    {
        if (Interlocked.Increment(ref _count) <= MaxFree)
        {
            _free.Enqueue(block);
        }
        else
        {
            Interlocked.Decrement(ref _count);
        }
    }

    private sealed class Block(BlockPool pool) : IMemoryOwner<byte>
    {
        private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(BlockLength);

        internal bool IsRented { get; set; }

        public Memory<byte> Memory => _bytes;

        public void Dispose()
        {
            // Twice would give it to two connections.
            if (IsRented)
            {
                IsRented = false;
                pool.Return(this);
            }
        }
    }
}
