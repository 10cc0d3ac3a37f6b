using System;
using System.Collections.Generic;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Connections;

namespace Ancm.Backend.Links;

/// <summary>
/// One socket to the host that carries many connections, so that what is ready on any of them is
/// received and sent together: with a socket for each, the system calls cost more than everything
/// else that a proxied request is made of.
/// </summary>
internal sealed class Link : IThreadPoolWorkItem
{
    private const int BufferLength = 256 * 1024;

    /// <summary>Bytes that may wait to be sent; channels with more wait themselves.</summary>
    private const int MaxWaiting = 512 * 1024;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);
    private static int s_links;

    private readonly Socket _socket;
    private readonly EndPoint _endPoint;
    private readonly LinkOptions _options;
    private readonly Func<ConnectionContext, bool> _accept;
    private readonly Action<Link> _onGone;
    private readonly Dictionary<uint, LinkChannel> _channels = [];
    private readonly string _name = Interlocked.Increment(ref s_links).ToString(CultureInfo.InvariantCulture);
    private readonly object _sending = new();

    /// <summary>What waits to be sent, and what is being sent. Under the lock, as the next two.</summary>
    private Batch _waiting;
    private Batch _underway;
    private bool _isSending;
    private bool _isGone;
    private TaskCompletionSource? _sent;

    /// <summary>Who waits for room among what waits.</summary>
    private readonly List<ChannelWriter> _writers = [];

    internal Link(Socket socket, EndPoint endPoint, LinkOptions options, Func<ConnectionContext, bool> accept, Action<Link> onGone)
    {
        _socket = socket;
        _socket.SendBufferSize = MaxWaiting;
        _endPoint = endPoint;
        _options = options;
        _accept = accept;
        _onGone = onGone;
        _waiting = new Batch(options.Blocks);
        _underway = new Batch(options.Blocks);
    }

    internal void Start()
    {
        // Blocked in its read it costs nothing, and one wake-up serves all that has come meanwhile.
        new Thread(Receive) { IsBackground = true, Name = "ancm link " + _name }.UnsafeStart();
    }

    /// <summary>Ends the link when what was given to it is sent, or nobody takes it.</summary>
    internal async Task EndAsync()
    {
        Task sent;
        lock (_sending)
        {
            _sent = _isSending ? new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously) : null;
            sent = _sent?.Task ?? Task.CompletedTask;
        }

        await Task.WhenAny(sent, Task.Delay(s_patience)).ConfigureAwait(false);
        _socket.Dispose();
    }

    /// <summary>Sends a frame without a payload soon, behind those before it.</summary>
    internal void Send(Frame frame)
    {
        bool isFirst;
        lock (_sending)
        {
            if (_isGone)
            {
                return;
            }

            _waiting.Add(frame);
            isFirst = !_isSending;
            _isSending = true;
        }

        Schedule(isFirst);
    }

    /// <summary>The same with data. False: it is too much for now; the writer is told when it no longer is.</summary>
    internal bool Send(ChannelWriter writer, uint number, Written written, int count)
    {
        bool isFirst;
        lock (_sending)
        {
            if (_isGone || _waiting.Length >= MaxWaiting)
            {
                _writers.Add(writer);
                return false;
            }

            _waiting.Add(number, written, count);
            isFirst = !_isSending;
            _isSending = true;
        }

        Schedule(isFirst);
        return true;
    }

    /// <summary>Both sides have closed a channel.</summary>
    internal void Forget(uint number)
    {
        lock (_channels)
        {
            _channels.Remove(number);
        }
    }

    void IThreadPoolWorkItem.Execute()
    {
        while (true)
        {
            ChannelWriter[] writers;
            _underway.Clear();
            lock (_sending)
            {
                if (_waiting.Length == 0 || _isGone)
                {
                    _isSending = false;
                    _sent?.TrySetResult();
                    return;
                }

                (_waiting, _underway) = (_underway, _waiting);
                writers = [.. _writers];
                _writers.Clear();
            }

            foreach (var writer in writers)
            {
                writer.OnRoom();
            }

            try
            {
                _underway.Send(_socket);
            }
            catch (Exception error) when (error is SocketException or ObjectDisposedException)
            {
                // The thread that receives sees the end.
                _socket.Dispose();
            }
        }
    }

    private void Schedule(bool isFirst)
    {
        if (isFirst)
        {
            // Behind the requests that are ready now, whose answers will be sent together with this one.
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    private void Receive()
    {
        var buffer = GC.AllocateUninitializedArray<byte>(BufferLength, pinned: true);
        var filled = 0;
        try
        {
            while (_socket.Receive(buffer.AsSpan(filled)) is > 0 and var count)
            {
                filled += count;
                var used = Take(buffer.AsSpan(0, filled));
                if (used < 0)
                {
                    break;
                }

                buffer.AsSpan(used, filled - used).CopyTo(buffer);
                filled -= used;
            }
        }
        catch (Exception)
        {
            // The socket is gone; or a mistake of ours, which costs the link and not the app.
        }

        BeGone();
    }

    /// <summary>Takes the whole frames at the start; how long they are, or less than zero if they are none.</summary>
    private int Take(ReadOnlySpan<byte> bytes)
    {
        var at = 0;
        while (bytes.Length - at >= Frame.HeaderLength)
        {
            var frame = Frame.Read(bytes[at..]);
            var length = frame.Kind == Kind.Data ? frame.Value : 0;
            if (length > Frame.Window)
            {
                return -1;
            }

            if (bytes.Length - at - Frame.HeaderLength < length)
            {
                break;
            }

            at += Frame.HeaderLength;
            if (!Take(frame, bytes.Slice(at, length)))
            {
                return -1;
            }

            at += length;
        }

        return at;
    }

    private bool Take(Frame frame, ReadOnlySpan<byte> payload)
    {
        LinkChannel? channel;
        lock (_channels)
        {
            _channels.TryGetValue(frame.Number, out channel);
        }

        return (frame.Kind, channel) switch
        {
            (Kind.Open, null) => Open(frame.Number),
            (Kind.Data, { } known) => known.Receive(payload),
            (Kind.Credit, { } known) => known.Grant(frame.Value),
            (Kind.Close, { } known) => Close(known),
            _ => false,
        };
    }

    private bool Open(uint number)
    {
        var channel = new LinkChannel(this, number, ConnectionName.Next(), _endPoint, _options);
        lock (_channels)
        {
            _channels.Add(number, channel);
        }

        if (!_accept(channel))
        {
            // The server takes no more; the host asks another.
            channel.Abort(new ConnectionAbortedException("The server is stopping."));
        }

        return true;
    }

    private static bool Close(LinkChannel channel)
    {
        channel.OnClosed(isLinkGone: false);
        return true;
    }

    private void BeGone()
    {
        lock (_sending)
        {
            _isGone = true;
            _writers.Clear();
        }

        _socket.Dispose();
        LinkChannel[] left;
        lock (_channels)
        {
            left = [.. _channels.Values];
            _channels.Clear();
        }

        foreach (var channel in left)
        {
            channel.OnClosed(isLinkGone: true);
        }

        _onGone(this);
    }
}
