using System;
using System.Collections.Generic;

namespace Ancm.Backend.Links;

/// <summary>What was written on a channel and is not yet given to its link, in the blocks it was written to.</summary>
internal sealed class Written
{
    private readonly Queue<(BlockPool.Block Block, int Start, int End)> _pieces = new();

    /// <summary>Bytes of the first piece that are given already.</summary>
    private int _given;

    /// <summary>Appends a part of a block, which is the last of it.</summary>
    internal void Add(BlockPool.Block block, int start, int end) => _pieces.Enqueue((block, start, end));

    /// <summary>
    /// The next bytes, at most so many. Their block, once they are the last of it; it may go back when
    /// everything taken before is sent, or at once if nothing of it was taken before.
    /// </summary>
    internal (ArraySegment<byte> Bytes, BlockPool.Block? Block, bool IsWhole) Take(int most)
    {
        var (block, start, end) = _pieces.Peek();
        var isWhole = _given == 0;
        var from = start + _given;
        var count = Math.Min(most, end - from);
        if (from + count < end)
        {
            _given += count;
            return (new ArraySegment<byte>(block.Bytes, from, count), null, false);
        }

        _given = 0;
        _pieces.Dequeue();
        return (new ArraySegment<byte>(block.Bytes, from, count), block, isWhole);
    }

    /// <summary>Nobody takes it any more.</summary>
    internal void Clear()
    {
        // The block of a piece of which a part is underway is left to the collector.
        for (var isWhole = _given == 0; _pieces.TryDequeue(out var piece); isWhole = true)
        {
            if (isWhole)
            {
                piece.Block.Dispose();
            }
        }

        _given = 0;
    }
}
