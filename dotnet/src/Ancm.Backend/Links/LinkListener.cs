using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Connections;

namespace Ancm.Backend.Links;

/// <summary>Gives the server the connections of a socket and those that links carry.</summary>
internal sealed class LinkListener : IConnectionListener
{
    private readonly IConnectionListener _plain;
    private readonly Socket _socket;
    private readonly LinkOptions _options;
    private readonly Channel<ConnectionContext> _accepted = Channel.CreateUnbounded<ConnectionContext>();
    private readonly HashSet<Link> _links = [];
    private readonly Task _accepting;

    internal LinkListener(IConnectionListener plain, Socket socket, LinkOptions options)
    {
        _plain = plain;
        _socket = socket;
        _options = options;
        _accepting = Task.WhenAll(AcceptPlainAsync(), AcceptLinksAsync());
    }

    public EndPoint EndPoint => _plain.EndPoint;

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (await _accepted.Reader.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
        {
            if (_accepted.Reader.TryRead(out var connection))
            {
                return connection;
            }
        }

        return null;
    }

    public async ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        _socket.Dispose();
        await _plain.UnbindAsync(cancellationToken).ConfigureAwait(false);
        await _accepting.ConfigureAwait(false);
        _accepted.Writer.TryComplete();
    }

    public async ValueTask DisposeAsync()
    {
        await UnbindAsync().ConfigureAwait(false);
        Link[] links;
        lock (_links)
        {
            links = [.. _links];
        }

        await Task.WhenAll(links.Select(static link => link.EndAsync())).ConfigureAwait(false);
        await _plain.DisposeAsync().ConfigureAwait(false);
    }

    private void Forget(Link link)
    {
        lock (_links)
        {
            _links.Remove(link);
        }
    }

    private async Task AcceptPlainAsync()
    {
        try
        {
            while (await _plain.AcceptAsync().ConfigureAwait(false) is { } connection)
            {
                _accepted.Writer.TryWrite(connection);
            }
        }
        catch (Exception error)
        {
            // The server logs it and ends, as it would have with this listener alone.
            _accepted.Writer.TryComplete(error);
        }
    }

    private async Task AcceptLinksAsync()
    {
        while (true)
        {
            try
            {
                var socket = await _socket.AcceptAsync().ConfigureAwait(false);
                var link = new Link(socket, EndPoint, _options, _accepted.Writer.TryWrite, Forget);
                lock (_links)
                {
                    _links.Add(link);
                }

                link.Start();
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException error) when (error.SocketErrorCode is SocketError.OperationAborted or SocketError.Interrupted)
            {
                return;
            }
            catch (SocketException)
            {
                // Whoever connected has left; or descriptors are short, and the pause is for that.
                await Task.Delay(10).ConfigureAwait(false);
            }
        }
    }
}
