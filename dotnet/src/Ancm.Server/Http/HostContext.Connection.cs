using System;
using System.Buffers;
using System.Collections.Generic;
using System.Net;
using System.Threading;

using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// The connection of the request. What was made of its descriptor is kept from one request to the
/// next.
/// </summary>
internal abstract unsafe partial class HostContext :
    IHttpConnectionFeature,
    IPersistentStateFeature,
    IConnectionIdFeature,
    IConnectionItemsFeature,
    IConnectionEndPointFeature,
    IConnectionLifetimeFeature,
    IConnectionLifetimeNotificationFeature,
    IMemoryPoolFeature
{
    private const string Base32 = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

    private ulong _connection;
    private bool _connectionChanged;
    private string? _connectionId;
    private IPAddress? _remoteAddress;
    private IPAddress? _localAddress;
    private int _remotePort;
    private int _localPort;
    private bool _addressesKnown;
    private Dictionary<object, object?>? _persistent;
    private IDictionary<object, object?>? _connectionItems;
    private CancellationToken? _connectionClosed;

    /// <summary>The engine's number of the connection.</summary>
    internal ulong ConnectionNumber => _connection;

    public string ConnectionId
    {
        get => _connectionId ??= Name(_connection);
        set => SetConnection(ref _connectionId, value);
    }

    IPAddress? IHttpConnectionFeature.RemoteIpAddress
    {
        get => Addresses()._remoteAddress;
        set => SetConnection(ref Addresses()._remoteAddress, value);
    }

    IPAddress? IHttpConnectionFeature.LocalIpAddress
    {
        get => Addresses()._localAddress;
        set => SetConnection(ref Addresses()._localAddress, value);
    }

    int IHttpConnectionFeature.RemotePort
    {
        get => Addresses()._remotePort;
        set => SetConnection(ref Addresses()._remotePort, value);
    }

    int IHttpConnectionFeature.LocalPort
    {
        get => Addresses()._localPort;
        set => SetConnection(ref Addresses()._localPort, value);
    }

    EndPoint? IConnectionEndPointFeature.RemoteEndPoint
    {
        get => Addresses()._remoteAddress is { } address ? new IPEndPoint(address, _remotePort) : null;
        set => SetEndPoint(value, ref Addresses()._remoteAddress, ref _remotePort);
    }

    EndPoint? IConnectionEndPointFeature.LocalEndPoint
    {
        get => Addresses()._localAddress is { } address ? new IPEndPoint(address, _localPort) : null;
        set => SetEndPoint(value, ref Addresses()._localAddress, ref _localPort);
    }

    IDictionary<object, object?> IPersistentStateFeature.State => _persistent ??= Keep();

    IDictionary<object, object?> IConnectionItemsFeature.Items
    {
        get => _connectionItems ??= Keep();
        set
        {
            Keep();
            _connectionItems = value;
        }
    }

    /// <summary>Whether the app has put something here that is to last as long as the connection.</summary>
    internal bool HasConnectionState => _persistent is not null || _connectionItems is not null;

    /// <summary>Shares what the app keeps of the connection with the request that follows on it.</summary>
    internal void Inherit(HostContext before)
    {
        (_persistent, _connectionItems) = (before._persistent, before._connectionItems);
        (_connectionClosed, _connection, _connectionChanged) = (before._connectionClosed, before._connection, true);
    }

    MemoryPool<byte> IMemoryPoolFeature.MemoryPool => MemoryPool<byte>.Shared;

    CancellationToken IConnectionLifetimeFeature.ConnectionClosed
    {
        get => _connectionClosed ??= WatchConnection();
        set => _connectionClosed = value;
    }

    CancellationToken IConnectionLifetimeNotificationFeature.ConnectionClosedRequested { get; set; }

    void IConnectionLifetimeNotificationFeature.RequestClose() => CloseAfterResponse();

    /// <summary>How logs name the connection of a number.</summary>
    internal static string Name(ulong connection)
        => string.Create(13, connection, static (text, id) =>
        {
            for (var index = text.Length - 1; index >= 0; index--)
            {
                text[index] = Base32[(int)(id & 31)];
                id >>= 5;
            }
        });

    /// <summary>The client has made, or the app has said, what leaves the connection in doubt.</summary>
    internal void CloseUnlessStarted()
    {
        // Afterwards the head is what it is, even if the lane has yet to see it.
        if (!HasStarted)
        {
            CloseAfterResponse();
        }
    }

    private void CloseAfterResponse()
    {
        if (_exchange is not null)
        {
            Interlocked.Or(ref _exchange->Progress, ProgressFlags.Close);
        }
    }

    private void BeginConnection(NativeConnection* connection)
    {
        var id = connection is null ? 0 : connection->Id;
        if (id != _connection)
        {
            _connectionClosed = null;
            // What an app keeps of one connection is not another's.
            _persistent = null;
        }

        if (id != _connection || _connectionChanged)
        {
            _connection = id;
            _connectionChanged = false;
            _connectionId = null;
            _addressesKnown = false;
        }
    }

    /// <summary>There when the client has shown a certificate to a proxy that is trusted.</summary>
    private object? FindCertificate(int index)
    {
        if (_exchange is null || !_exchange->HasCertificate())
        {
            return null;
        }

        _replaced |= s_tls;
        var der = _exchange->ClientCertificate.AsSpan().ToArray();
        return _features[index] = new ClientCertificate(der, _settings.Logger, TraceIdentifier);
    }

    private CancellationToken WatchConnection()
    {
        lock (_abortGate)
        {
            var exchange = _exchange;
            if (exchange is null || _phase == Phase.Idle)
            {
                // Nobody is left who could be asked to tell.
                return new CancellationToken(canceled: true);
            }

            if (!exchange->HasRates())
            {
                return RequestAborted;
            }

            var token = _server.Watch(_connection);
            Interlocked.Or(ref exchange->Progress, ProgressFlags.Watched);
            // Its client may have left before.
            exchange->Wake();
            return token;
        }
    }

    /// <summary>A place for what lasts as long as the connection, of whose end the server must hear.</summary>
    private Dictionary<object, object?> Keep()
    {
        _connectionClosed ??= WatchConnection();
        return [];
    }

    /// <summary>What the app sets counts for this request only.</summary>
    private void SetConnection<T>(ref T place, T value)
    {
        place = value;
        _connectionChanged = true;
    }

    /// <summary>An end that is no address of IP is none here, as with a Unix socket.</summary>
    private void SetEndPoint(EndPoint? value, ref IPAddress? address, ref int port)
    {
        var end = value as IPEndPoint;
        SetConnection(ref address, end?.Address);
        SetConnection(ref port, end?.Port ?? 0);
    }

    private HostContext Addresses()
    {
        if (!_addressesKnown && _exchange is not null && _exchange->Connection is not null)
        {
            var connection = _exchange->Connection;
            _remoteAddress = ToAddress(&connection->Remote);
            _remotePort = connection->Remote.Port;
            _localAddress = ToAddress(&connection->Local);
            _localPort = connection->Local.Port;
            _addressesKnown = true;
        }

        return this;
    }

    private static IPAddress? ToAddress(NativeAddress* address)
        => address->Family switch
        {
            4 => new IPAddress(new ReadOnlySpan<byte>(address->Ip, 4)),
            6 => new IPAddress(new ReadOnlySpan<byte>(address->Ip, 16), address->Scope),
            _ => null,
        };
}
