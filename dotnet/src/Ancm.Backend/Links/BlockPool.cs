using System;
using System.Buffers;
using System.Collections.Generic;

namespace Ancm.Backend.Links;

/// <summary>
/// Blocks of one size, as the server expects of a transport: it asks for "any" memory and means a block.
/// </summary>
internal sealed class BlockPool : MemoryPool<byte>
{
    /// <summary>Bytes that are kept while nobody uses them.</summary>
    private const int MaxFree = 16 * 1024 * 1024;

    private readonly int _length;

    // The last one given back first: the caches still have it.
    private readonly Stack<Block> _free = new();

    internal BlockPool(int length) => _length = length;

    public override int MaxBufferSize => _length;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, _length);
        return RentBlock(minBufferSize);
    }

    /// <summary>A block of at least so many bytes; a larger one than usual is not kept afterwards.</summary>
    internal Block RentBlock(int length)
    {
        if (length > _length)
        {
            return new Block(this, length);
        }

        Block? block;
        lock (_free)
        {
            _free.TryPop(out block);
        }

        block ??= new Block(this, _length);
        block.IsRented = true;
        return block;
    }

    protected override void Dispose(bool disposing)
    {
    }

    private void Return(Block block)
    {
        lock (_free)
        {
            if (_free.Count < MaxFree / _length)
            {
                _free.Push(block);
            }
        }
    }

    internal sealed class Block(BlockPool pool, int length) : IMemoryOwner<byte>
    {
        internal byte[] Bytes { get; } = GC.AllocateUninitializedArray<byte>(length);

        internal bool IsRented { get; set; }

        public Memory<byte> Memory => Bytes;

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
