//! `SIGTERM` drains (contract 2): nothing that is under way is lost.
use crate::rig::{Echo, PATIENCE, Rig, SOON, generous};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use usher::inbound::server::{Address, Drained, Server};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn what_is_under_way_is_answered_and_so_is_what_still_comes_on_open_connections() {
    let echo = Arc::new(Echo::default());
    let rig = Rig::start(Arc::clone(&echo), generous()).await;
    let (mut busy, mut idle, mut fresh) =
        (rig.client().await, rig.client().await, rig.client().await);
    busy.send(WAIT).await;
    echo.waiting.notified().await;
    idle.send(GET).await;
    assert_eq!(idle.reply().await.header("connection"), "");
    let Address::Tcp(address) = rig.address else { unreachable!() };
    let mut server = rig.stop();
    // The listener is gone as soon as the drain has begun.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    for client in [&mut idle, &mut fresh] {
        client.send(GET).await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    }
    echo.go.notify_one();
    let reply = busy.reply().await;
    assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    let drained = timeout(PATIENCE, server.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(drained, Drained { cut_off: 0 });
}

#[tokio::test]
async fn connections_without_a_request_do_not_hold_the_drain_up() {
    let mut limits = generous();
    limits.drain_idle = SOON;
    let rig = Rig::start(Arc::new(Echo::default()), limits).await;
    let (mut used, fresh) = (rig.client().await, rig.client().await);
    used.send(GET).await;
    assert_eq!(used.reply().await.status, 200);
    let mut server = rig.stop();
    let drained = timeout(PATIENCE, server.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(drained, Drained { cut_off: 0 });
    assert!(used.end().await.is_empty());
    assert!(fresh.end().await.is_empty());
}

#[tokio::test]
async fn a_connection_that_the_kernel_has_accepted_is_not_lost() {
    let any = Address::Tcp("127.0.0.1:0".parse().unwrap());
    let server = Server::bind(&any, None, generous()).await.unwrap();
    let Address::Tcp(address) = server.address().unwrap() else { unreachable!() };
    let mut client = crate::rig::Client::new(TcpStream::connect(address).await.unwrap());
    client.send(GET).await;
    // It is told to stop before it has accepted anything.
    let serve = server.serve(Arc::new(Echo::default()), std::future::ready(()), PATIENCE);
    let (drained, reply) = tokio::join!(serve, client.reply());
    assert_eq!((drained, reply.status), (Drained { cut_off: 0 }, 200));
}

#[tokio::test]
async fn the_grace_is_the_longest_a_drain_takes() {
    let any = Address::Tcp("127.0.0.1:0".parse().unwrap());
    let server = Server::bind(&any, None, generous()).await.unwrap();
    let Address::Tcp(address) = server.address().unwrap() else { unreachable!() };
    let echo = Arc::new(Echo::default());
    let mut client = crate::rig::Client::new(TcpStream::connect(address).await.unwrap());
    client.send(WAIT).await;
    let serve = server.serve(Arc::clone(&echo), echo.waiting.notified(), Duration::from_millis(50));
    assert_eq!(timeout(PATIENCE, serve).await.unwrap(), Drained { cut_off: 1 });
    assert!(client.end().await.is_empty());
}
